// Real recorded messages against tardis-dev's normaliser as an independent witness: price, amount, side, id and time must be
// equal by value. What the two mean differently on purpose is in docs/conformance.md. Skips without the recordings.
import { createRequire } from 'node:module';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseStreamMessage, type StreamMessage } from '../contracts/index.ts';
import type { FrameClass, MessageSink, Normaliser } from './exchange.ts';
import { tickerPayload } from './payload.ts';
import { MARKETS } from './registry.ts';

const FIXTURES = join(import.meta.dirname, '../../../shared/fixtures');
const RECEIVED = 1_795_000_000_000_000;

interface Frame {
  marketId: string;
  text: string;
  from: string;
  kind: string;
  class: string;
}

interface TardisMessage {
  type: 'trade' | 'book_ticker' | 'derivative_ticker' | 'option_summary';
  symbol: string;
  id?: string;
  price?: number;
  amount?: number;
  side?: string;
  timestamp: Date;
  [field: string]: unknown;
}

interface Mapper {
  canHandle(message: unknown): boolean;
  map(message: unknown, at: Date): Iterable<TardisMessage> | undefined;
}

const tardis = createRequire(import.meta.url)('tardis-dev') as Record<string, (exchange: string, at: Date) => Mapper>;
const NAMES: Record<string, string> = { deribit: 'deribit', binance_spot: 'binance', binance_usdm: 'binance-futures' };

/** Fields of tardis-dev's tickers → ours. */
const TICKER_FIELDS: Record<string, string> = {
  bidPrice: 'best_bid_price',
  bidAmount: 'best_bid_amount',
  askPrice: 'best_ask_price',
  askAmount: 'best_ask_amount',
  lastPrice: 'last_price',
  markPrice: 'mark_price',
  indexPrice: 'index_price',
  openInterest: 'open_interest',
  bestBidPrice: 'best_bid_price',
  bestBidAmount: 'best_bid_amount',
  bestAskPrice: 'best_ask_price',
  bestAskAmount: 'best_ask_amount',
  bestBidIV: 'bid_iv',
  bestAskIV: 'ask_iv',
  markIV: 'mark_iv',
  delta: 'delta',
  gamma: 'gamma',
  vega: 'vega',
  theta: 'theta',
  rho: 'rho',
  underlyingPrice: 'underlying_price',
};

function mappersOf(marketId: string): Mapper[] {
  return ['normalizeTrades', 'normalizeBookTickers', 'normalizeDerivativeTickers', 'normalizeOptionsSummary'].flatMap(
    (make) => {
      try {
        return [tardis[make]!(NAMES[marketId]!, new Date(0))];
      } catch {
        return []; // not every exchange has all of them
      }
    },
  );
}

function frames(): Frame[] {
  const found: Frame[] = [];
  for (const line of readFileSync(join(FIXTURES, 'cases.jsonl'), 'utf8').split('\n').filter(Boolean)) {
    const entry = JSON.parse(line) as {
      id: string;
      market: string;
      kind: string;
      class: string;
      transport: string;
      raw?: string;
      message?: unknown;
    };
    const marketId = entry.market.replace('-', '_');
    if (!Object.hasOwn(MARKETS, marketId) || entry.kind.startsWith('REST')) continue;
    found.push({
      marketId,
      text: entry.raw ?? JSON.stringify(entry.message),
      from: entry.id,
      kind: entry.kind,
      class: entry.class,
    });
  }
  for (const file of readdirSync(join(FIXTURES, 'recordings'))) {
    const marketId = file.startsWith('deribit')
      ? 'deribit'
      : file.startsWith('binance-usdm')
        ? 'binance_usdm'
        : 'binance_spot';
    for (const [i, line] of readFileSync(join(FIXTURES, 'recordings', file), 'utf8')
      .split('\n')
      .entries()) {
      if (!line.includes('"kind":"recv"')) continue;
      found.push({
        marketId,
        text: (JSON.parse(line) as { data: string }).data,
        from: `${file}:${i + 1}`,
        kind: 'recorded',
        class: 'W',
      });
    }
  }
  return found;
}

function normalise(normaliser: Normaliser, frame: Frame): { found: FrameClass; messages: StreamMessage[] } {
  const payloads: string[] = [];
  const sink: MessageSink = {
    trade: (_symbol, _seq, _last, _ts, payload) => void payloads.push(payload),
    ohlc: (_symbol, _resolution, _ts, _closed, payload) => void payloads.push(payload),
    ticker: (patch) => void payloads.push(tickerPayload(frame.marketId, patch)),
  };
  const found = normaliser.normalise(frame.text, RECEIVED, sink);
  const messages = payloads.map((payload) => {
    const parsed = parseStreamMessage(JSON.parse(payload));
    if (!parsed.ok) throw new Error(`${frame.from}: ${parsed.error} in ${payload}`);
    return parsed.value;
  });
  return { found, messages };
}

/** Numbers equal by value, an absent quote (0 or missing at the witness) is our null. */
const same = (theirs: unknown, ours: unknown): boolean =>
  theirs === undefined || theirs === null || theirs === 0
    ? ours === null || ours === undefined || Number(ours) === 0
    : Number(ours) === theirs;

describe.skipIf(!existsSync(FIXTURES))('recorded messages', () => {
  const all = existsSync(FIXTURES) ? frames() : [];
  const real = all.filter((frame) => frame.class === 'W' || frame.class === 'R');

  it('none crashes, all are classed, and what is emitted is valid', () => {
    const counts: Record<string, number> = {};
    const normalisers = new Map(Object.values(MARKETS).map((market) => [market.marketId, market.normaliser()]));
    for (const frame of all) {
      const { found, messages } = normalise(normalisers.get(frame.marketId)!, frame);
      counts[`${frame.marketId} ${found}`] = (counts[`${frame.marketId} ${found}`] ?? 0) + 1;
      if (found !== 'data') expect(messages, frame.from).toEqual([]);
    }
    expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBe(all.length);
    for (const id of Object.keys(MARKETS)) expect(counts[`${id} data`], JSON.stringify(counts)).toBeGreaterThan(0);
  });

  it('every real trade, ticker and candle yields messages', () => {
    const wanted =
      /^ws (trades |trade$|aggTrade$|ticker |kline$|24hrTicker$|24hrMiniTicker$|bookTicker|markPriceUpdate$|chart|quote|incremental_ticker)/;
    const silent = real
      .filter((frame) => wanted.test(frame.kind))
      .flatMap((frame) => {
        const { found, messages } = normalise(MARKETS[frame.marketId]!.normaliser(), frame);
        return found === 'data' && messages.length > 0
          ? []
          : [`${frame.marketId} ${frame.kind} ${frame.from}: ${found} ${frame.text.slice(0, 200)}`];
      });
    expect(silent).toEqual([]);
  });

  it('agrees with tardis-dev in price, amount, side, id and time', () => {
    const differences: string[] = [];
    const compared: Record<string, number> = {};
    for (const frame of real) {
      const { messages } = normalise(MARKETS[frame.marketId]!.normaliser(), frame);
      const message: unknown = JSON.parse(frame.text);
      const at = new Date(RECEIVED / 1000);
      for (const mapper of mappersOf(frame.marketId)) {
        if (!mapper.canHandle(message)) continue;
        const theirs = [...(mapper.map(message, at) ?? [])];
        for (const [i, their] of theirs.entries()) {
          const ours = messages.filter(
            (m) => m.type === (their.type === 'trade' ? 'trade' : 'ticker') && m.symbol.toUpperCase() === their.symbol,
          );
          const our = their.type === 'trade' ? (ours[i] ?? ours.at(-1)) : ours[0];
          const note = (what: string, a: unknown, b: unknown): void =>
            void differences.push(
              `${frame.marketId} ${frame.from} ${their.symbol} ${what}: ${String(a)} against ${String(b)}`,
            );
          compared[`${frame.marketId} ${their.type}`] = (compared[`${frame.marketId} ${their.type}`] ?? 0) + 1;
          if (our === undefined) note('is missing', their.type, frame.text.slice(0, 300));
          else if (our.type === 'trade') {
            if (!same(their.price, our.price)) note('price', their.price, our.price);
            if (!same(their.amount, our.amount)) note('amount', their.amount, our.amount);
            if (their.side !== our.side) note('side', their.side, our.side);
            if (String(their.id) !== our.trade_id) note('id', their.id, our.trade_id);
          } else {
            for (const [name, mine] of Object.entries(TICKER_FIELDS)) {
              const value = (our as unknown as Record<string, unknown>)[mine];
              if (name in their && their[name] !== undefined && !same(their[name], value))
                note(name, their[name], value);
            }
          }
          if (our !== undefined && Math.floor(our.exchange_ts / 1000) !== their.timestamp.getTime())
            note('time', their.timestamp.getTime(), our.exchange_ts);
        }
      }
    }
    expect(differences.slice(0, 40)).toEqual([]);
    expect(compared['binance_spot book_ticker']).toBeGreaterThan(1000);
    expect(compared['deribit trade']).toBeGreaterThan(4);
    expect(compared['deribit derivative_ticker']).toBeGreaterThan(10);
  });
});
