import { describe, expect, it } from 'vitest';
import { CandleBook } from './candles.ts';

const M = 60_000_000;
const candle = (openTs: number, close: string, closed = false, receivedTs = 1): string =>
  `{"v":1,"type":"ohlc","symbol":"X","received_ts":${receivedTs},"resolution":"1m","open_ts":${openTs},` +
  `"close":"${close}","closed":${closed},"source":"stream"}`;

function book(closes: boolean): {
  out: [string, boolean][];
  put: (openTs: number, close: string, nowMs: number, options?: { closed?: boolean; hold?: boolean }) => void;
  flush: (nowMs: number) => void;
  forget: () => void;
} {
  const candles = new CandleBook({ closes, intervalMs: 1000 });
  const out: [string, boolean][] = [];
  const push = (payload: string, closed: boolean): void => {
    const { open_ts, close, closed: told } = JSON.parse(payload) as { open_ts: number; close: string; closed: boolean };
    expect(told).toBe(closed);
    out.push([`${open_ts / M}:${close}`, closed]);
  };
  return {
    out,
    put: (openTs, close, nowMs, { closed = false, hold = false } = {}) =>
      candles.update('X', '1m', openTs, closed, candle(openTs, close, closed, nowMs), nowMs, hold, push),
    flush: (nowMs) => candles.flush(nowMs, push),
    forget: () => candles.forget('X'),
  };
}

describe('CandleBook', () => {
  it('drops repeats that differ in their receive time only', () => {
    const { out, put } = book(false);
    put(M, '1', 0);
    put(M, '1', 5000);
    expect(out).toEqual([['1:1', false]]);
  });

  it('sends the first state at once and the latest of the rest when the interval is over', () => {
    const { out, put, flush } = book(false);
    put(M, '1', 0);
    put(M, '2', 100);
    put(M, '3', 200);
    flush(900);
    expect(out).toEqual([['1:1', false]]);
    flush(1000);
    flush(3000);
    expect(out).toEqual([
      ['1:1', false],
      ['1:3', false],
    ]);
  });

  it('always sends a closed candle, and nothing provisional after it', () => {
    const { out, put, flush } = book(false);
    put(M, '1', 0);
    put(M, '2', 10, { closed: true, hold: true });
    put(M, '3', 20);
    flush(5000);
    expect(out).toEqual([
      ['1:1', false],
      ['1:2', true],
    ]);
  });

  it('closes a candle when a newer one comes, where the venue does not say so', () => {
    const { out, put } = book(true);
    put(M, '1', 0);
    put(M, '2', 10);
    put(2 * M, '3', 20);
    expect(out).toEqual([
      ['1:1', false],
      ['1:2', true],
      ['2:3', false],
    ]);
  });

  it('sends a late correction of the candle before once, as closed', () => {
    const { out, put } = book(true);
    put(M, '1', 0);
    put(2 * M, '3', 20);
    put(M, '1', 30);
    put(M, '9', 40);
    put(M, '9', 50);
    expect(out.slice(2)).toEqual([
      ['2:3', false],
      ['1:9', true],
    ]);
  });

  it('does not lose the last provisional state when the next candle begins', () => {
    const { out, put } = book(false);
    put(M, '1', 0);
    put(M, '2', 10);
    put(2 * M, '3', 20);
    expect(out).toEqual([
      ['1:1', false],
      ['1:2', false],
      ['2:3', false],
    ]);
  });

  it('holds provisional states back while asked to, and forgets what is unsubscribed', () => {
    const { out, put, flush, forget } = book(false);
    put(M, '1', 0, { hold: true });
    expect(out).toEqual([]);
    flush(1);
    expect(out).toEqual([['1:1', false]]);
    put(M, '2', 2);
    forget();
    flush(9000);
    expect(out).toHaveLength(1);
  });
});
