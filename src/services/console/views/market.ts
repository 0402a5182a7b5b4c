// One instrument: its quote, its trades, its candles; and which there are.
import { z } from 'zod';
import { tickerFields, wantedChannels } from '../../../bus/glance.ts';
import { TradeTail } from '../../../bus/trade_tail.ts';
import { resolutionValues } from '../../../contracts/index.ts';
import { describeInstruments, knowsInstrument, newestCandles } from '../../../store/series.ts';
import { Refusal, view, type View } from '../hub.ts';
import type { Candles, Instruments, Quote, Trades } from '../shown.ts';
import { from, marketParam, symbolParam, wholeParam, type Sources } from './sources.ts';

const MOST = 5_000;
const instrument = z.strictObject({ market: marketParam, symbol: symbolParam });
type Instrument = z.infer<typeof instrument>;

/** What is subscribed, with the names that exchanges share. */
export function instrumentsView({ redis, pool, markets }: Sources): View {
  const read = async (): Promise<Instruments> => {
    const wanted = await from('Redis', Promise.all(markets.map(async ({ marketId }) =>
      [...await wantedChannels(redis, marketId)].map(([symbol]) => ({ marketId, symbol })))));
    return { instruments: await from('PostgreSQL', describeInstruments(pool, wanted.flat().slice(0, MOST))) };
  };
  return view({ params: z.strictObject({}), everyMs: 5_000, read });
}

const FIELDS = [
  'best_bid_price', 'best_bid_amount', 'best_ask_price', 'best_ask_amount', 'last_price', 'mark_price', 'index_price', 'funding_rate', 'open_interest',
  'volume_24h', 'received_ts', 'feed_status',
] as const;

export function quoteView(sources: Sources): View {
  const { redis, clock } = sources;
  const read = async ({ market, symbol }: Instrument): Promise<Quote> => {
    const [fields] = await from('Redis', tickerFields(redis, market, [symbol], FIELDS));
    const of = (name: (typeof FIELDS)[number]): string | null => fields?.[FIELDS.indexOf(name)] ?? null;
    if (FIELDS.every((name) => of(name) === null)) await refuseUnknown(sources, { market, symbol });
    const received = of('received_ts');
    return {
      nowTs: clock.nowMicros(), bid: of('best_bid_price'), bidAmount: of('best_bid_amount'), ask: of('best_ask_price'), askAmount: of('best_ask_amount'),
      last: of('last_price'), mark: of('mark_price'), index: of('index_price'), fundingRate: of('funding_rate'), openInterest: of('open_interest'),
      volume24h: of('volume_24h'), receivedTs: received === null ? null : Number(received), status: of('feed_status'),
    };
  };
  return view({ params: instrument, everyMs: 250, read });
}

export function tradesView(sources: Sources): View & { close(): void } {
  const tail = new TradeTail({ redis: sources.stream, url: sources.streamUrl });
  const known = new Set<string>();
  const read = async ({ market, symbol }: Instrument): Promise<Trades> => {
    const key = `${market} ${symbol}`;
    if (!known.has(key)) await refuseUnknown(sources, { market, symbol });
    known.add(key);
    const trades = await from('Redis', tail.newest(market, symbol));
    return { trades: trades.map(({ trade_id, exchange_ts, side, price, amount }) => ({ tradeId: trade_id, ts: exchange_ts, side, price, amount })) };
  };
  const drop = ({ market, symbol }: Instrument): void => {
    known.delete(`${market} ${symbol}`);
    tail.forget(market, symbol);
  };
  return { ...view({ params: instrument, everyMs: 200, read, drop }), close: () => tail.close() };
}

const candleParams = instrument.extend({ resolution: z.enum(resolutionValues).default('1m'), limit: wholeParam(1, 1_500, 300) });

export function candlesView(sources: Sources): View {
  const read = async ({ market, symbol, resolution, limit }: z.infer<typeof candleParams>): Promise<Candles> => {
    const candles = await from('PostgreSQL', newestCandles(sources.pool, market, symbol, resolution, limit));
    if (candles.length === 0) await refuseUnknown(sources, { market, symbol });
    return { candles };
  };
  return view({ params: candleParams, everyMs: 1_000, read });
}

async function refuseUnknown({ pool }: Sources, { market, symbol }: Instrument): Promise<void> {
  if (await from('PostgreSQL', knowsInstrument(pool, market, symbol))) return;
  throw new Refusal(404, 'unknown_symbol', `symbol: ${JSON.stringify(symbol)} is no instrument of ${market}`);
}
