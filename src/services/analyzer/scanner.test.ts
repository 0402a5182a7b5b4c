// The scanner may only ever say what the reference path says.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tracked } from '../../core/analysis/analysis.ts';
import { MessageFields } from '../../core/analysis/message_fields.ts';
import { decode, fill } from './decode.ts';
import { MessageScanner } from './scanner.ts';

const TS = 1_790_755_218_589_000;
const tracker = {
  track: (marketId: string, symbol: string): Tracked =>
    ({ marketId, symbol, state: null, quarantine: { attempts: 0, at: 0, until: 0 }, silence: 'none', gone: false }),
};

/** What is said of a payload that lies between other bytes. */
function scan(payload: string): { says: string; who?: string; fields?: MessageFields } {
  const scanner = new MessageScanner(tracker);
  const bytes = Buffer.from(`garbage"1234${payload}5678"}\r\n`);
  const says = scanner.scan(bytes, 12, 12 + Buffer.byteLength(payload));
  return says === 'data' ? { says, who: `${scanner.tracked.marketId} ${scanner.tracked.symbol}`, fields: scanner.fields } : { says };
}

function reference(payload: string): { who: string; fields: MessageFields } | null {
  const decoded = decode(payload);
  const fields = new MessageFields();
  if (!decoded.ok || !fill(fields, decoded.message)) return null;
  return { who: `${decoded.message.market_id} ${decoded.message.symbol}`, fields };
}

const decimal = fc.tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 18n }), fc.option(fc.stringMatching(/^\d{1,12}$/), { nil: null }))
  .map(([minus, whole, fraction]) => `${minus ? '-' : ''}${whole}${fraction === null ? '' : `.${fraction}`}`);
const amount = decimal.map((text) => text.replace('-', ''));
const orNull = (value: fc.Arbitrary<string>): fc.Arbitrary<string | null> => fc.option(value, { nil: null });
const symbol = fc.oneof(fc.stringMatching(/^[A-Z0-9_-]{1,20}$/), fc.constantFrom('币安人生USDT', 'A'));
const base = { v: fc.constant(1) };
const time = fc.integer({ min: TS, max: TS + 1e9 });
const head = { market_id: fc.constantFrom('deribit', 'binance_spot'), symbol, exchange_ts: time, received_ts: time };
const trade = fc.record({
  ...base, type: fc.constant('trade'), ...head, trade_id: fc.constant('1'), seq: fc.option(fc.nat(), { nil: null }), price: decimal, amount,
  side: fc.constantFrom('buy', 'sell'), mark_price: decimal, liquidation: fc.constantFrom('maker', 'taker', 'both'),
}, { requiredKeys: ['v', 'type', 'market_id', 'symbol', 'exchange_ts', 'received_ts', 'trade_id', 'seq', 'price', 'amount', 'side'] });
const ticker = fc.record({
  ...base, type: fc.constant('ticker'), ...head, best_bid_price: orNull(decimal), best_bid_amount: orNull(amount), best_ask_price: orNull(decimal),
  best_ask_amount: orNull(amount), last_price: orNull(decimal), mark_price: orNull(decimal), index_price: orNull(decimal), open_interest: orNull(decimal),
  funding_rate: orNull(decimal), volume_24h: orNull(decimal), mark_iv: orNull(decimal),
});

describe('the scanner', () => {
  it('takes every trade and ticker of our own spelling, with the values of the reference', () => {
    fc.assert(fc.property(fc.oneof(trade, ticker), (message) => {
      const payload = JSON.stringify(message);
      const { says, who, fields } = scan(payload);
      expect([says, who]).toEqual(['data', reference(payload)?.who]);
      expect(fields).toEqual(reference(payload)?.fields);
    }), { numRuns: 500 });
  });

  it('takes nothing that the reference refuses, whatever happened to the bytes it needs', () => {
    const needed = /"(?:price|amount|side|best_bid_price|best_ask_price|open_interest|funding_rate)":("[^"]*"|null)/g;
    const damage = fc.constantFrom('', '"', '-', '.', '00', 'e', '1.', 'null', '{', ',', '"x');
    fc.assert(fc.property(fc.oneof(trade, ticker), fc.nat(), damage, (message, where, bad) => {
      const payload = JSON.stringify(message);
      const spots = [...payload.matchAll(needed)].map((match) => match.index + match[0].length - match[1]!.length);
      const at = spots[where % spots.length]! + (where % 3);
      const broken = payload.slice(0, at) + bad + payload.slice(at + 1);
      const { says, fields } = scan(broken);
      if (says === 'data') expect(fields).toEqual(reference(broken)?.fields);
    }), { numRuns: 1_000 });
  });

  it('leaves what it has no use for, and what is spelled otherwise', () => {
    expect(scan('{"v":1,"type":"ohlc","market_id":"deribit"}').says).toBe('other');
    expect(scan('{"v":1,"type":"feed_status","market_id":"deribit"}').says).toBe('other');
    for (const payload of ['', '{', 'null', '{"v":1,"type":"trade"}', `{ "v":1}`, '{"v":1,"type":"trade","market_id":"deribit","symbol":"A B"']) {
      expect([payload, scan(payload).says]).toEqual([payload, 'unusual']);
    }
  });

  it('names whose a malformed message was meant to be, where it says so', () => {
    expect(decode('{"v":1,"type":"trade","market_id":"deribit","symbol":"A","exch')).toMatchObject({ ok: false, marketId: 'deribit', symbol: 'A' });
    expect(decode('{"v":1,"type":"trade","market_id":"deribit","symbol":"A"}')).toMatchObject({ ok: false, marketId: 'deribit', symbol: 'A' });
    expect(decode('{"type":"x"}')).toMatchObject({ ok: false, marketId: null, symbol: null });
    expect(decode(null)).toMatchObject({ ok: false, reason: 'payload: the entry has no such field' });
  });
});
