// The candles that a chart shows, and what an answer changes of them. One may become final, or be healed, long after its successor has
// opened, and the connection may be gone for longer than an answer reaches back.
import type { Candles } from '../shown.ts';

type Candle = Candles['candles'][number];

/** What there is to paint: `changed` oldest first, each shown already or newer than all; `all` when one came in between. */
export type Painting = { readonly paint: 'all' } | { readonly paint: 'changed'; readonly candles: readonly Candle[] };

export class CandleBook {
  #candles: readonly Candle[] = [];

  /** All of them, oldest first. */
  get candles(): readonly Candle[] {
    return this.#candles;
  }

  get newest(): number {
    return this.#candles.at(-1)?.openTs ?? 0;
  }

  /** Takes candles in any order. An answer that was under way for long takes nothing back: what is final stays. */
  take(news: readonly Candle[]): Painting {
    const [newest, known] = [this.newest, new Map(this.#candles.map((candle) => [candle.openTs, candle]))];
    const changed = news.filter((candle) => isNews(candle, known.get(candle.openTs))).sort((a, b) => a.openTs - b.openTs);
    const between = changed.some(({ openTs }) => openTs < newest && !known.has(openTs));
    for (const candle of changed) known.set(candle.openTs, candle);
    this.#candles = [...known.values()].sort((a, b) => a.openTs - b.openTs);
    return between || newest === 0 ? { paint: 'all' } : { paint: 'changed', candles: changed };
  }
}

function isNews(candle: Candle, known: Candle | undefined): boolean {
  if (known === undefined) return true;
  if (known.isFinal && !candle.isFinal) return false;
  return (['open', 'high', 'low', 'close', 'volume', 'isFinal'] as const).some((field) => candle[field] !== known[field]);
}
