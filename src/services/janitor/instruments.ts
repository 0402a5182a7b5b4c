// Instruments of the configured markets: from the exchanges' REST into the table and the set of tradable symbols.
import type { Redis } from 'ioredis';
import { emitEvent } from '../../bus/events.ts';
import { replaceSymbols } from '../../bus/symbols.ts';
import type { Instrument } from '../../exchanges/exchange.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { ExchangeHttpError, createHttp } from '../../net/http.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { transaction, type Pool } from '../../store/connect.ts';
import { upsertInstruments } from '../../store/instruments.ts';
import { retry } from './retry.ts';

const TIMEOUT_MS = 20_000;
/** The instrument list of a derivatives venue is some megabytes. */
const MAX_BYTES = 64 * 1024 * 1024;
const ATTEMPTS = 5;
/** A refusal (bad path, blocked region) does not get better by asking again. */
const FINAL = new Set(['refused', 'banned']);

export interface SyncedMarket {
  marketId: string;
  tradable: number;
  /** Configured symbols that the exchange does not list as tradable. */
  missing: string[];
}

/** Synchronises all configured markets side by side. Rejects naming the first market and URL that could not be read. */
export async function syncMarkets(ctx: ServiceContext, pool: Pool, redis: Redis): Promise<SyncedMarket[]> {
  return Promise.all(ctx.config.markets.map((market) => syncMarket(ctx, pool, redis, market)));
}

async function syncMarket(ctx: ServiceContext, pool: Pool, redis: Redis, config: MarketConfig): Promise<SyncedMarket> {
  const { marketId } = config;
  const instruments = await fetchInstruments(ctx, config);
  await transaction(pool, (client) => upsertInstruments(client, instruments));
  const tradable = instruments.filter((instrument) => instrument.status === 'open').map((instrument) => instrument.symbol);
  await replaceSymbols(redis, marketId, tradable);
  const listed = new Set(tradable);
  const missing = config.symbols.filter((symbol) => !listed.has(symbol));
  for (const symbol of missing) await reportMissing(ctx, redis, marketId, symbol);
  ctx.log.info({ market_id: marketId, instruments: instruments.length, tradable: tradable.length, missing }, 'instruments synchronised');
  return { marketId, tradable: tradable.length, missing };
}

async function fetchInstruments(ctx: ServiceContext, { marketId, restUrl }: MarketConfig): Promise<Instrument[]> {
  const market = MARKETS[marketId];
  if (market === undefined) throw new Error(`${marketId}: not in the registry`);
  const rest = market.rest(restUrl, createHttp({ timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, clock: ctx.clock }));
  return retry(ctx, {
    what: `instruments of ${marketId} from ${restUrl}`,
    attempts: ATTEMPTS,
    worthRepeating: (error) => !(error instanceof ExchangeHttpError && FINAL.has(error.kind)),
    waitMs: (error) => (error instanceof ExchangeHttpError ? error.retryAfterMs : null),
  }, async () => {
    const instruments = await rest.instruments();
    // An exchange without a single instrument is a broken answer; taking it for the truth would unsubscribe everything.
    if (!instruments.some((instrument) => instrument.status === 'open')) throw new Error('the answer lists no tradable instrument');
    return instruments;
  });
}

async function reportMissing(ctx: ServiceContext, redis: Redis, marketId: string, symbol: string): Promise<void> {
  ctx.log.warn({ market_id: marketId, symbol }, 'configured symbol is not listed as tradable by the exchange');
  const ts = ctx.clock.nowMicros();
  await emitEvent(redis, {
    event_id: `instrument.unknown:${marketId}:${symbol}:${ts}`.slice(0, 128),
    type: 'instrument.unknown',
    severity: 'warning',
    market_id: marketId,
    symbol: symbol.slice(0, 96),
    ts,
    data: { reason: 'configured, but not listed as tradable by the exchange' },
  });
}
