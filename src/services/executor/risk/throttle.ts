// Rates, duplicates and repeated executions: checks over time. Monotonic time in, so that a stepping wall clock opens no gate.
import type { Side } from '../../../core/trading/records.ts';
import { refuse, type Refused } from './codes.ts';
import type { RiskLimits } from './limits.ts';

export interface ThrottledOrder {
  strategy: string;
  symbol: string;
  side: Side;
  amount: string;
  price: string | null;
}

export class Throttle {
  readonly #limits: RiskLimits;
  #sent: number[] = [];
  readonly #contents = new Map<string, number>();
  readonly #executions = new Map<string, number[]>();

  constructor(limits: RiskLimits) {
    this.#limits = limits;
  }

  /** null: it may go now (and is counted as gone). */
  take(order: ThrottledOrder, nowMs: number): Refused | null {
    const { account, duplicate_window_ms: window, repeated_executions: repeated } = this.#limits;
    this.#forget(nowMs);
    const content = JSON.stringify([order.strategy, order.symbol, order.side, order.amount, order.price]);
    const before = this.#contents.get(content);
    if (before !== undefined && nowMs - before < window) return refuse('DUPLICATE_ORDER', `${Math.round(nowMs - before)} ms after the same one`);
    const lastSecond = this.#sent.filter((at) => nowMs - at < 1_000).length;
    if (lastSecond >= account.max_orders_per_second) return refuse('RATE', `${lastSecond} in a second`);
    if (this.#sent.length >= account.max_orders_per_minute) return refuse('RATE', `${this.#sent.length} in a minute`);
    const executed = this.#executions.get(kindOf(order))?.length ?? 0;
    if (executed >= repeated.count) return refuse('REPEATED', `${executed} in ${repeated.window_ms} ms`);
    this.#sent.push(nowMs);
    this.#contents.set(content, nowMs);
    return null;
  }

  /** An order of this kind was filled: what a strategy that has lost its mind does again and again. */
  executed(order: Pick<ThrottledOrder, 'strategy' | 'symbol' | 'side'>, nowMs: number): void {
    const list = this.#executions.get(kindOf(order)) ?? [];
    list.push(nowMs);
    this.#executions.set(kindOf(order), list);
  }

  #forget(nowMs: number): void {
    this.#sent = this.#sent.filter((at) => nowMs - at < 60_000);
    for (const [content, at] of this.#contents) if (nowMs - at >= this.#limits.duplicate_window_ms) this.#contents.delete(content);
    for (const [kind, times] of this.#executions) {
      const young = times.filter((at) => nowMs - at < this.#limits.repeated_executions.window_ms);
      if (young.length === 0) this.#executions.delete(kind);
      else this.#executions.set(kind, young);
    }
  }
}

const kindOf = (order: Pick<ThrottledOrder, 'strategy' | 'symbol' | 'side'>): string => `${order.strategy} ${order.symbol} ${order.side}`;
