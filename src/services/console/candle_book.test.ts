// What a chart makes of the answers it gets.
import { describe, expect, it } from 'vitest';
import { CandleBook } from './public/candle_book.ts';

const MINUTE = 60_000_000;
const candle = (minute: number, close: string, isFinal = false) =>
  ({ openTs: minute * MINUTE, open: '1', high: close, low: '1', close, volume: '10', isFinal });

function bookOf(...candles: ReturnType<typeof candle>[]): CandleBook {
  const book = new CandleBook();
  book.take(candles);
  return book;
}

describe('the candles of a chart', () => {
  it('change when one becomes final after its successor has opened', () => {
    const book = bookOf(candle(1, '5', true), candle(2, '6'));
    expect(book.take([candle(2, '6'), candle(3, '7')])).toEqual({ paint: 'changed', candles: [candle(3, '7')] });
    expect(book.take([candle(2, '6.5', true), candle(3, '7')])).toEqual({ paint: 'changed', candles: [candle(2, '6.5', true)] });
    expect(book.candles).toEqual([candle(1, '5', true), candle(2, '6.5', true), candle(3, '7')]);
  });

  it('are painted anew when one came in between', () => {
    const book = bookOf(candle(1, '5'), candle(3, '7'));
    expect(book.take([candle(2, '6', true)])).toEqual({ paint: 'all' });
    expect(book.candles.map(({ openTs }) => openTs / MINUTE)).toEqual([1, 2, 3]);
  });

  it('lose nothing to an answer that was under way for long', () => {
    const book = bookOf(candle(1, '5', true), candle(2, '6'));
    expect(book.take([candle(1, '4')])).toEqual({ paint: 'changed', candles: [] });
    expect(book.newest).toBe(2 * MINUTE);
  });

  it('grow by several at once, in order', () => {
    const book = bookOf(candle(1, '5'));
    expect(book.take([candle(3, '7'), candle(2, '6', true)])).toEqual({ paint: 'changed', candles: [candle(2, '6', true), candle(3, '7')] });
  });
});
