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
  /** Ascending; those before #young are forgotten. Copying the last minute for each order was a tenth of the executor's garbage. */
  #sent: number[] = [];
  #young = 0;
  readonly #contents = new Map<string, number>();
  /** Of each kind: its orders that were filled, by label, with the time of their first fill; ascending. */
  readonly #executions = new Map<string, Map<string, number>>();
  readonly #refused = new Map<string, number[]>();
  readonly #onRunaway: (reason: string) => void;

  /** `onRunaway` is told when a strategy has lost its mind, of every further refusal, too: holding it off is not enough then. */
  constructor(limits: RiskLimits, onRunaway: (reason: string) => void) {
    this.#limits = limits;
    this.#onRunaway = onRunaway;
  }

  /** null: it may go now (and is counted as gone). */
  take(order: ThrottledOrder, nowMs: number): Refused | null {
    const refused = this.#decide(order, nowMs);
    if (refused !== null) this.#count(order.strategy, nowMs);
    return refused;
  }

  #count(strategy: string, nowMs: number): void {
    const { refused, window_ms: window } = this.#limits.runaway;
    const list = [...(this.#refused.get(strategy) ?? []).filter((at) => nowMs - at < window), nowMs].slice(-refused);
    this.#refused.set(strategy, list);
    if (list.length >= refused) this.#onRunaway(`${strategy} runs wild: ${list.length} of its orders refused in ${window} ms`);
  }

  #decide(order: ThrottledOrder, nowMs: number): Refused | null {
    const { account, duplicate_window_ms: window, repeated_executions: repeated } = this.#limits;
    this.#forget(nowMs);
    const content = JSON.stringify([order.strategy, order.symbol, order.side, order.amount, order.price]);
    const before = this.#contents.get(content);
    if (before !== undefined && nowMs - before < window) return refuse('DUPLICATE_ORDER', `${Math.round(nowMs - before)} ms after the same one`);
    const lastMinute = this.#sent.length - this.#young;
    const lastSecond = this.#sent.length - 1 - this.#sent.findLastIndex((at) => nowMs - at >= 1_000);
    if (lastSecond >= account.max_orders_per_second) return refuse('RATE', `${lastSecond} in a second`);
    if (lastMinute >= account.max_orders_per_minute) return refuse('RATE', `${lastMinute} in a minute`);
    const executed = this.#executions.get(kindOf(order))?.size ?? 0;
    if (executed >= repeated.count) return refuse('REPEATED', `${executed} in ${repeated.window_ms} ms`);
    this.#sent.push(nowMs);
    this.#contents.set(content, nowMs);
    return null;
  }

  /** An order of this kind was filled: what a strategy that has lost its mind does again and again. In however many parts: it counts once. */
  executed(order: Pick<ThrottledOrder, 'strategy' | 'symbol' | 'side'> & { label: string }, nowMs: number): void {
    const filled = this.#executions.get(kindOf(order)) ?? new Map<string, number>();
    if (!filled.has(order.label)) filled.set(order.label, nowMs);
    this.#executions.set(kindOf(order), filled);
  }

  #forget(nowMs: number): void {
    while (this.#young < this.#sent.length && nowMs - this.#sent[this.#young]! >= 60_000) this.#young++;
    if (this.#young > 1_000) [this.#sent, this.#young] = [this.#sent.slice(this.#young), 0];
    for (const [content, at] of this.#contents) if (nowMs - at >= this.#limits.duplicate_window_ms) this.#contents.delete(content);
    for (const [kind, filled] of this.#executions) {
      for (const [label, at] of filled) {
        if (nowMs - at < this.#limits.repeated_executions.window_ms) break;
        filled.delete(label);
      }
      if (filled.size === 0) this.#executions.delete(kind);
    }
  }
}

const kindOf = (order: Pick<ThrottledOrder, 'strategy' | 'symbol' | 'side'>): string => `${order.strategy} ${order.symbol} ${order.side}`;
