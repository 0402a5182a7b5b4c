// The fast walk must say what the exact one says: on what the simulator sends, and on the same frames cut, bent and stuffed.
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseStreamMessage } from '../contracts/index.ts';
import { framesFromSimulator, type FrameSet } from '../scripts/bench/frames.ts';
import { createNormaliser as createBinance } from './binance/normalise.ts';
import { createNormaliser as createDeribit } from './deribit/normalise.ts';
import type { MessageSink, Normaliser } from './exchange.ts';
import { tickerPayload } from './payload.ts';

const RECEIVED = 1_795_000_000_123_456;
const make = (marketId: string, exactOnly: boolean): Normaliser =>
  (marketId === 'deribit' ? createDeribit : createBinance)(marketId, exactOnly);

function outcome(normaliser: Normaliser, marketId: string, frame: string): unknown[] {
  const out: unknown[] = [];
  const sink: MessageSink = {
    trade: (...args) => void out.push(['trade', ...args]),
    ohlc: (...args) => void out.push(['ohlc', ...args]),
    ticker: (patch) => void out.push(['ticker', patch.symbol, patch.exchangeTs, tickerPayload(marketId, patch)]),
  };
  out.unshift(normaliser.normalise(frame, RECEIVED, sink));
  return out;
}

let sets: FrameSet[] = [];
beforeAll(async () => {
  sets = await framesFromSimulator(2, 11);
});

/** Pairs of long-lived normalisers: what one frame taught the fast one must not spoil the next. */
const pairs = new Map(
  ['deribit', 'binance_spot', 'binance_usdm'].map((id) => [id, [make(id, false), make(id, true)] as const]),
);
function expectSame(marketId: string, frame: string): unknown[] {
  const [fast, exact] = pairs.get(marketId)!;
  const expected = outcome(exact, marketId, frame);
  expect(outcome(fast, marketId, frame), frame.slice(0, 2000)).toEqual(expected);
  return expected;
}

describe('the fast walk', () => {
  it('agrees on what the exchanges send, and all of it is valid', () => {
    expect(new Set(sets.map((set) => `${set.marketId} ${set.kind}`)).size).toBeGreaterThanOrEqual(8);
    for (const { marketId, frames } of sets) {
      for (const frame of frames) {
        const [found, ...messages] = expectSame(marketId, frame);
        expect(found).toBe('data');
        for (const message of messages as unknown[][]) {
          const parsed = parseStreamMessage(JSON.parse(message.at(-1) as string));
          expect(parsed.ok ? '' : parsed.error).toBe('');
        }
      }
    }
  });

  it('agrees on truncated, bent and stuffed frames', () => {
    const pool = sets.flatMap(({ marketId, frames }) => frames.slice(0, 25).map((frame) => ({ marketId, frame })));
    const bytes = fc.constantFrom(
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '0',
      '-',
      '.',
      'e',
      'E',
      '9',
      ' ',
      '\n',
      'x',
      '\u0000',
      'é',
      '币',
      'null',
      '1e400',
      '-0',
      '00',
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...pool),
        fc.array(fc.tuple(fc.nat(), fc.nat(3), bytes), { minLength: 1, maxLength: 3 }),
        ({ marketId, frame }, edits) => {
          let text = frame;
          for (const [where, cut, put] of edits) {
            const at = where % (text.length + 1);
            text = text.slice(0, at) + put + text.slice(at + cut);
          }
          const [found, ...messages] = expectSame(marketId, text);
          if (found === 'malformed') expect(messages).toEqual([]);
        },
      ),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.constantFrom(...pool), fc.nat(), ({ marketId, frame }, where) => {
        const cut = frame.slice(0, where % frame.length);
        expect(expectSame(marketId, cut)).toEqual(['malformed']);
      }),
      { numRuns: 1000 },
    );
  });

  it('agrees whatever the order of keys and the white space', () => {
    const shuffled = (value: unknown, seed: number): unknown => {
      if (Array.isArray(value)) return value.map((item) => shuffled(item, seed));
      if (typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).map(([key, item]): [string, unknown] => [key, shuffled(item, seed)]);
      return Object.fromEntries(
        entries.sort(([a], [b]) => ((a.charCodeAt(0) * seed) % 7) - ((b.charCodeAt(0) * seed) % 7)),
      );
    };
    for (const { marketId, frames } of sets) {
      for (const [i, frame] of frames.slice(0, 40).entries()) {
        const tree: unknown = JSON.parse(frame);
        const text = JSON.stringify(shuffled(tree, i + 2), null, i % 3);
        expect(expectSame(marketId, text)[0]).toBe('data');
      }
    }
  });
});

describe('wire facts', () => {
  const trade = (more: string): string =>
    `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{` +
    `"trade_seq":7,"trade_id":"1","timestamp":1790000000000,` +
    `"price":8.55e4,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":10.0${more}}]}}`;
  const first = (frame: string): Record<string, unknown> =>
    JSON.parse((expectSame('deribit', frame)[1] as unknown[]).at(-1) as string) as Record<string, unknown>;

  it('expands exponents and keeps every other digit of the wire', () => {
    const message = first(
      trade(',"mark_price":85500.12345678901234567,"index_price":7.4E+4,"starbase_match_id":230999806598721536'),
    );
    expect(message).toMatchObject({
      price: '85500',
      amount: '10.0',
      mark_price: '85500.12345678901234567',
      index_price: '74000',
    });
  });

  it.each([
    ['M', 'maker'],
    ['T', 'taker'],
    ['MT', 'both'],
  ])('liquidation %s is %s', (wire, ours) =>
    expect(first(trade(`,"liquidation":"${wire}"`))['liquidation']).toBe(ours),
  );

  it.each(['"price":"NaN",', '"price":1e400,', '"price":null,'])('%s makes the frame malformed', (price) =>
    expect(expectSame('deribit', trade('').replace('"price":8.55e4,', price))).toEqual(['malformed']),
  );

  it('takes microseconds and milliseconds by their magnitude', () => {
    const frame = (ts: string): string =>
      `{"e":"trade","E":${ts},"s":"币安人生USDT","t":5,"p":"0.10","q":"1","T":${ts},"m":true,"M":true}`;
    for (const ts of ['1790000000000', '1790000000000000']) {
      const [, message] = expectSame('binance_spot', frame(ts)) as [unknown, unknown[]];
      expect(JSON.parse(message.at(-1) as string)).toMatchObject({
        symbol: '币安人生USDT',
        exchange_ts: 1_790_000_000_000_000,
        price: '0.10',
        side: 'sell',
        seq: 5,
      });
    }
  });
});
