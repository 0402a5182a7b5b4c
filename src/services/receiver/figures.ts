// One market's counters, with the hot ones as plain numbers that are handed to Prometheus a few times per second.
import type { ReceiverMetrics } from './metrics.ts';

type FrameClass = 'data' | 'control' | 'ignored' | 'malformed';

export class MarketFigures {
  trades = 0;
  tickers = 0;
  candles = 0;
  duplicates = 0;
  shed = 0;
  readonly #marketId: string;
  readonly #metrics: ReceiverMetrics;
  readonly #frames: Record<FrameClass, number> = { data: 0, control: 0, ignored: 0, malformed: 0 };

  constructor(marketId: string, metrics: ReceiverMetrics) {
    this.#marketId = marketId;
    this.#metrics = metrics;
    // From zero on, so that rates and alerts see the first one.
    for (const frameClass of Object.keys(this.#frames)) metrics.frames.inc({ market: marketId, class: frameClass }, 0);
    for (const type of ['trade', 'ohlc']) metrics.dropped.inc({ market: marketId, type }, 0);
    for (const cause of ['stream', 'overflow', 'redis']) metrics.gaps.inc({ market: marketId, cause }, 0);
    metrics.disconnects.inc({ market: marketId }, 0);
    metrics.shed.inc({ market: marketId }, 0);
  }

  frames(frameClass: FrameClass, count: number): void {
    this.#frames[frameClass] += count;
  }

  gap(cause: 'stream' | 'overflow' | 'redis', missing: number): void {
    this.#metrics.gaps.inc({ market: this.#marketId, cause });
    this.#metrics.missing.inc({ market: this.#marketId }, missing);
  }

  dropped(type: 'trade' | 'ohlc'): void {
    this.#metrics.dropped.inc({ market: this.#marketId, type });
  }

  batch(callMs: number, oldestMs: number | null): void {
    this.#metrics.batchSeconds.observe({ market: this.#marketId }, callMs / 1000);
    if (oldestMs !== null)
      this.#metrics.publishLatency.observe({ market: this.#marketId }, Math.max(0, oldestMs / 1000));
  }

  /** Hands the plain numbers over. */
  flush(): void {
    const market = this.#marketId;
    for (const frameClass of ['data', 'control', 'ignored', 'malformed'] as const) {
      if (this.#frames[frameClass] > 0)
        this.#metrics.frames.inc({ market, class: frameClass }, this.#frames[frameClass]);
      this.#frames[frameClass] = 0;
    }
    this.#metrics.messages.inc({ market, type: 'trade' }, this.trades);
    this.#metrics.messages.inc({ market, type: 'ticker' }, this.tickers);
    this.#metrics.messages.inc({ market, type: 'ohlc' }, this.candles);
    this.#metrics.duplicates.inc({ market }, this.duplicates);
    this.#metrics.shed.inc({ market }, this.shed);
    this.trades = this.tickers = this.candles = this.duplicates = this.shed = 0;
  }
}
