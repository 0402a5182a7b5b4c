import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PayloadBatch } from '../../bus/payload_batch.ts';
import type { PublishBatch } from '../../bus/publish.ts';
import { TICKER_FIELDS } from '../../exchanges/exchange.ts';
import { Outbox } from './outbox.ts';
import { TickerBook } from './tickers.ts';

const clock = { nowMicros: () => 0, monotonicMs: () => 0 };

function outbox(limit: number): {
  box: Outbox;
  calls: { batch: PublishBatch; done: () => void }[];
  rooms: () => number;
} {
  const calls: { batch: PublishBatch; done: () => void }[] = [];
  let rooms = 0;
  const publisher = {
    batch: () => new PayloadBatch(Buffer.from('*1\r\n')),
    publish: (batch: PublishBatch | PayloadBatch) =>
      new Promise<void>((done) => calls.push({ batch: plain(batch), done })),
  };
  const box = new Outbox({ clock, limit, publisher, onRoom: () => rooms++ });
  return { box, calls, rooms: () => rooms };
}
/** What is in a batch, read back from its bytes. */
function plain(batch: PublishBatch | PayloadBatch): PublishBatch {
  if (!(batch instanceof PayloadBatch)) return batch;
  const lines = batch.bytes().toString().split('\r\n');
  return {
    payloads: Array.from({ length: batch.count }, (_, i) => lines[3 * i + 2] ?? ''),
    lastSeqs: new Map(batch.lastSeqs),
  };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const push = (box: Outbox, from: number, to: number): boolean[] =>
  Array.from({ length: to - from }, (_, i) => box.push(`p${from + i}`, 'S', from + i, 1));

describe('Outbox', () => {
  it('sends a lone message at once, and builds the next batch while calls are in flight', async () => {
    const { box, calls } = outbox(10_000);
    push(box, 0, 1);
    box.kick();
    expect(calls.map((c) => c.batch.payloads)).toEqual([['p0']]);
    push(box, 1, 10);
    box.kick();
    expect(calls).toHaveLength(1);
    push(box, 10, 100);
    box.kick();
    expect(calls).toHaveLength(2);
    push(box, 100, 1900);
    box.kick();
    expect(calls).toHaveLength(2);
    calls[0]?.done();
    await turn();
    expect(calls[2]?.batch.payloads).toHaveLength(1000);
    expect([...(calls[2]?.batch.lastSeqs ?? [])]).toEqual([['S', 1099]]);
  });

  it('keeps the order whatever the turns, and loses nothing it took', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(700), { maxLength: 30 }), async (bursts) => {
        const { box, calls } = outbox(1e9);
        let sent = 0;
        let settled = 0;
        for (const burst of bursts) {
          push(box, sent, (sent += burst));
          box.kick();
          calls[settled]?.done();
          if (calls.length > settled) settled++;
          await turn();
        }
        while (box.length > 0) {
          box.kick();
          calls[settled++]?.done();
          await turn();
        }
        const out = calls.flatMap((c) => c.batch.payloads);
        expect(out).toEqual(Array.from({ length: sent }, (_, i) => `p${i}`));
        expect(Math.max(0, ...calls.map((c) => c.batch.payloads.length))).toBeLessThanOrEqual(1000);
      }),
      { numRuns: 30 },
    );
  });

  it('splits by size, but sends a single large message', () => {
    const { box, calls } = outbox(100);
    const large = 'x'.repeat(600_000);
    for (let i = 0; i < 2; i++) box.push(large, null, 0, 0);
    box.push('y'.repeat(1_500_000), null, 0, 0);
    box.kick();
    expect(calls.map((c) => c.batch.payloads.length)).toEqual([1, 1]);
  });

  it('refuses when full until it is half empty, status excepted, and says so once', async () => {
    const { box, calls, rooms } = outbox(100);
    expect(push(box, 0, 110).filter(Boolean)).toHaveLength(100);
    box.kick();
    expect(box.push('late', 'S', 200, 0)).toBe(false);
    box.pushStatus('gap', 'S', 100);
    expect(box.length).toBe(101);
    calls[0]?.done();
    await turn();
    expect(rooms()).toBe(1);
    expect(box.push('again', 'S', 201, 0)).toBe(true);
  });

  it('drains up to a deadline', async () => {
    const { box, calls } = outbox(100);
    push(box, 0, 3);
    expect(await box.drain(10)).toBe(3);
    calls[0]?.done();
    expect(await box.drain(1000)).toBe(0);
  });
});

describe('TickerBook', () => {
  const T = 1_790_000_000_000_000;
  const at = (name: (typeof TICKER_FIELDS)[number]): number => TICKER_FIELDS.indexOf(name);
  const patch = (
    values: Partial<Record<(typeof TICKER_FIELDS)[number], string | null>>,
    ts = 1,
  ): Parameters<TickerBook['update']>[0] => {
    const list: (string | null | undefined)[] = [];
    for (const [name, value] of Object.entries(values)) list[at(name as (typeof TICKER_FIELDS)[number])] = value;
    return { symbol: 'X', exchangeTs: T + ts, receivedTs: T + ts, values: list };
  };
  const book = (): { tickers: TickerBook; out: Record<string, unknown>[] } => {
    const out: Record<string, unknown>[] = [];
    return {
      tickers: new TickerBook({
        marketId: 'm',
        intervalMs: 100,
        out: (payload) => out.push(JSON.parse(payload) as Record<string, unknown>),
      }),
      out,
    };
  };

  it('merges patches into a complete state; what is not told stays, what is told absent goes', () => {
    const { tickers, out } = book();
    tickers.update(patch({ best_bid_price: '1', mark_price: '5' }), 0, false);
    tickers.update(patch({ best_bid_price: null, last_price: '7' }, 2), 200, false);
    expect(out[0]).toMatchObject({ best_bid_price: '1', best_ask_price: null, mark_price: '5', exchange_ts: T + 1 });
    expect(out[1]).toMatchObject({ best_bid_price: null, last_price: '7', mark_price: '5', exchange_ts: T + 2 });
  });

  it('sends the first at once and then one per interval, the latest', () => {
    const { tickers, out } = book();
    for (let i = 0; i < 50; i++) tickers.update(patch({ last_price: String(i) }), i, false);
    tickers.flush(99);
    expect(out.map((o) => o['last_price'])).toEqual(['0']);
    tickers.flush(100);
    tickers.flush(300);
    expect(out.map((o) => o['last_price'])).toEqual(['0', '49']);
    tickers.update(patch({ last_price: '60' }), 300, true);
    tickers.forget('X');
    tickers.flush(900);
    expect(out).toHaveLength(2);
  });
});
