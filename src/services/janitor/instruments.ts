// Instruments of the configured markets: from the exchanges' REST into the table and the set of tradable symbols.
import type { Redis } from 'ioredis';
import { emitEvent } from '../../bus/events.ts';
import { listedSymbols } from '../../bus/patterns.ts';
import { replaceSymbols, replaceSymbolsOfKind } from '../../bus/symbols.ts';
import { removeWanted } from '../../bus/wanted.ts';
import { subscriptionsKey } from '../../contracts/index.ts';
import { PATTERN_KINDS } from '../../core/patterns.ts';
import type { Instrument, SkippedInstrument } from '../../exchanges/exchange.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { ExchangeHttpError, createHttp } from '../../net/http.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { transaction, type Pool } from '../../store/connect.ts';
import { findExpiredAmong, replaceInstruments } from '../../store/instruments.ts';
import { retry } from './retry.ts';

const TIMEOUT_MS = 20_000;
/** The instrument list of a derivatives venue is some megabytes. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A minute, as jitter falls: in Compose an exchange's simulator, or the way out, may be there later than the janitor. */
const ATTEMPTS = 26;
const PATIENCE_MS = 60_000;
/** Beyond so many of a market a new kind of instrument would push all other news out of the events. */
const MAX_TOLD = 20;
/** A refusal (bad path, blocked region) does not get better by asking again. */
const FINAL = new Set(['refused', 'banned']);
const MISSING = 'configured, but not listed as tradable by the exchange';

/** A tradable symbol. */
export interface Listed {
  symbol: string;
  kind: string;
  /** µs; null where the exchange does not tell. */
  listedTs: number | null;
}

/** The tradable symbols of a market. */
export interface MarketList {
  marketId: string;
  listed: readonly Listed[];
}

export interface SyncedMarket extends MarketList {
  tradable: number;
  /** Configured symbols that the exchange does not list as tradable. */
  missing: string[];
}

interface Fetched {
  instruments: Instrument[];
  skipped: SkippedInstrument[];
}

/** For whoever synchronises again and again. */
export interface SyncHooks {
  /** What was reported already is not said twice. */
  told?: Set<string>;
  /** Symbols that were not tradable the last time; called before anybody can subscribe them, and again when it rejects. */
  onListed?: (fresh: MarketList) => Promise<void>;
}

/** Synchronises all configured markets side by side. Rejects naming the first market and URL that could not be read. */
export async function syncMarkets(ctx: ServiceContext, pool: Pool, redis: Redis, hooks: SyncHooks = {}): Promise<SyncedMarket[]> {
  return Promise.all(ctx.config.markets.map((market) => syncMarket(ctx, pool, redis, market, hooks)));
}

async function syncMarket(ctx: ServiceContext, pool: Pool, redis: Redis, config: MarketConfig, hooks: SyncHooks): Promise<SyncedMarket> {
  const { told = new Set(), onListed } = hooks;
  const { marketId } = config;
  const { instruments, skipped } = await fetchInstruments(ctx, config);
  // What could not be read is listed all the same: its row stays as it is.
  const unread = new Map(skipped.flatMap(({ symbol, reason }) => (symbol === null ? [] : [[symbol, reason]])));
  const unlisted = await transaction(pool, (client) => replaceInstruments(client, marketId, instruments, [...unread.keys()]));
  const open = instruments.filter((instrument) => instrument.status === 'open');
  const tradable = open.map(({ symbol }) => symbol);
  const list = open.map(({ symbol, kind, listed_ts: listedTs }): Listed => ({ symbol, kind, listedTs }));
  const before = onListed === undefined ? null : await listedSymbols(redis, marketId, null);
  if (before !== null) {
    const known = new Set(before);
    await onListed?.({ marketId, listed: list.filter(({ symbol }) => !known.has(symbol)) });
  }
  for (const kind of PATTERN_KINDS) {
    const symbols = open.filter((instrument) => instrument.kind === kind).map(({ symbol }) => symbol);
    await replaceSymbolsOfKind(redis, marketId, kind, symbols);
  }
  await replaceSymbols(redis, marketId, tradable);
  const expired = await dropExpired(pool, redis, marketId, new Set(tradable));
  const listed = new Set(tradable);
  const missing = config.symbols.filter((symbol) => !listed.has(symbol));
  const news = [
    ...missing.filter((symbol) => !unread.has(symbol)).map((symbol) => ({ symbol, reason: MISSING })),
    ...skipped.map(({ symbol, reason }) => ({ symbol, reason: `listed, but not as documented: ${reason}` })),
  ].filter(({ symbol, reason }) => !told.has(`${marketId} ${symbol} ${reason}`));
  for (const entry of news.slice(0, MAX_TOLD)) await report(ctx, redis, marketId, entry);
  for (const { symbol, reason } of news) told.add(`${marketId} ${symbol} ${reason}`);
  if (news.length > MAX_TOLD) ctx.log.warn({ market_id: marketId, more: news.length - MAX_TOLD }, 'and more instruments of that kind');
  const figures = { instruments: instruments.length, tradable: tradable.length, skipped: skipped.length, unlisted: unlisted.length, expired };
  ctx.log.info({ market_id: marketId, ...figures, missing }, 'instruments synchronised');
  return { marketId, listed: list, tradable: tradable.length, missing };
}

/** Nobody can subscribe what has expired: it is wanted no more, whoever wanted it. Returns how many members went. */
async function dropExpired(pool: Pool, redis: Redis, marketId: string, tradable: ReadonlySet<string>): Promise<number> {
  const wanted = await redis.smembers(subscriptionsKey(marketId));
  const symbolOf = (member: string): string => member.slice(member.indexOf(':') + 1);
  const gone = wanted.filter((member) => !tradable.has(symbolOf(member)));
  const expired = await findExpiredAmong(pool, marketId, [...new Set(gone.map(symbolOf))]);
  await removeWanted(redis, marketId, gone.filter((member) => expired.has(symbolOf(member))));
  return expired.size;
}

async function fetchInstruments(ctx: ServiceContext, { marketId, restUrl }: MarketConfig): Promise<Fetched> {
  const market = MARKETS[marketId];
  if (market === undefined) throw new Error(`${marketId}: not in the registry`);
  const rest = market.rest(restUrl, createHttp({ timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, clock: ctx.clock }));
  return retry(ctx, {
    what: `instruments of ${marketId} from ${restUrl}`,
    attempts: ATTEMPTS,
    forMs: PATIENCE_MS,
    worthRepeating: (error) => !(error instanceof ExchangeHttpError && FINAL.has(error.kind)),
    waitMs: (error) => (error instanceof ExchangeHttpError ? error.retryAfterMs : null),
  }, async () => {
    const skipped: SkippedInstrument[] = [];
    const instruments = await rest.instruments((entry) => skipped.push(entry));
    // An exchange without a single instrument is a broken answer; taking it for the truth would unsubscribe everything.
    if (!instruments.some((instrument) => instrument.status === 'open')) throw new Error('the answer lists no tradable instrument');
    return { instruments, skipped };
  });
}

async function report(ctx: ServiceContext, redis: Redis, marketId: string, { symbol, reason }: SkippedInstrument): Promise<void> {
  ctx.log.warn({ market_id: marketId, symbol, reason }, 'instrument unknown');
  const ts = ctx.clock.nowMicros();
  await emitEvent(redis, {
    // The symbol may be anything here; what tells two events apart must not be cut off.
    event_id: `instrument.unknown:${marketId}:${ts}:${symbol ?? reason}`.slice(0, 128),
    type: 'instrument.unknown',
    severity: 'warning',
    market_id: marketId,
    ...(symbol === null ? {} : { symbol: symbol.slice(0, 96) }),
    ts,
    data: { reason },
  });
}
