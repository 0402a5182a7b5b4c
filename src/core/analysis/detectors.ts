// The rules that look at one symbol. Each measure is relative to its thresholds (1 is on them), and the smallest of several counts: a
// rule with two thresholds needs both.
import { Alarm } from './alarm.ts';
import type { LevelName } from './levels.ts';
import type { RuleName, Rules } from './rules.ts';
import type { SymbolStats } from './symbol_stats.ts';
import { WINDOWS, finite, windowNames, type TradeWindow } from './window.ts';

/** Told when a rule has found something: its window's beginning (µs), and the figures that made it. */
export type Found = (rule: RuleName, windowStart: number, data: Record<string, unknown>) => void;

const QUOTE_GRID = 1_000_000;

export class Detectors {
  readonly #rules: Rules['rules'];
  readonly #alarms = new Map<RuleName, Alarm>();

  constructor(rules: Rules['rules']) {
    this.#rules = rules;
    for (const [name, { enabled }] of Object.entries(rules)) if (enabled) this.#alarms.set(name as RuleName, new Alarm());
  }

  /** After stats.trade(); `closed`: the shortest window was closed by it. */
  afterTrade(stats: SymbolStats, closed: boolean, isLiquidation: boolean, found: Found): void {
    this.#priceSpike(stats, found);
    this.#volumeSpike(stats, found);
    if (isLiquidation) this.#cascade(stats, found);
    if (closed) this.#regime(stats, found);
  }

  /** After stats.quote() and stats.levels.set(). */
  afterTicker(stats: SymbolStats, found: Found): void {
    const { spread } = stats;
    if (!Number.isNaN(spread)) {
      this.#spread(stats, found);
      const crossed = this.#rules.crossed_quote;
      this.#raise('crossed_quote', stats.ts, -spread / crossed.min_bp, () => found('crossed_quote', grid(stats.ts), quoteData(stats)));
    }
    const { funding_jump: funding, open_interest_jump: interest, iv_move: iv } = this.#rules;
    this.#level('funding_jump', stats, 'funding_rate', funding.window, (change) => (Math.abs(change) * 10_000) / funding.min_bp, found);
    this.#level('open_interest_jump', stats, 'open_interest', interest.window,
      // Of nothing there is no percentage: the first contract of an option is no jump.
      (change, before) => (before === 0 ? 0 : (Math.abs(change / before) * 100) / interest.min_percent), found);
    this.#level('iv_move', stats, 'mark_iv', iv.window, (change) => Math.abs(change) / iv.min_points, found);
  }

  #raise(rule: RuleName, ts: number, measure: number, tell: () => void): void {
    if (this.#alarms.get(rule)?.update(ts, measure, this.#rules[rule]) === true) tell();
  }

  #priceSpike(stats: SymbolStats, found: Found): void {
    const limits = this.#rules.price_spike;
    const window = stats.window(limits.window);
    const moved = window.return;
    const bp = Math.abs(moved) * 10_000;
    // The cheap half first: most trades do not move the price.
    const measure = Math.min(bp / limits.min_bp, bp === 0 ? 0 : Math.abs(window.returnZ) / limits.z);
    this.#raise('price_spike', stats.ts, measure, () => found('price_spike', window.start, {
      ...windowData(window), return_bp: moved * 10_000, return_z: finite(window.returnZ), price: window.close, price_before: window.closeBefore,
    }));
  }

  #volumeSpike(stats: SymbolStats, found: Found): void {
    const limits = this.#rules.volume_spike;
    const window = stats.window(limits.window);
    const usual = window.volumes.mean;
    const measure = window.trades < limits.min_trades ? 0 : Math.min(window.volumeZ / limits.z, window.volume / (limits.times * usual));
    this.#raise('volume_spike', stats.ts, measure, () => found('volume_spike', window.start, {
      ...windowData(window), volume_z: finite(window.volumeZ), usual_volume: usual,
    }));
  }

  #cascade(stats: SymbolStats, found: Found): void {
    const limits = this.#rules.liquidation_cascade;
    const window = stats.window(limits.window);
    const share = window.liquidated / window.volume;
    const measure = Math.min(window.liquidations / limits.min_count, share / limits.min_share);
    this.#raise('liquidation_cascade', stats.ts, measure, () => found('liquidation_cascade', window.start, {
      ...windowData(window), liquidations: window.liquidations, liquidated: window.liquidated, liquidated_share: share,
    }));
  }

  #regime(stats: SymbolStats, found: Found): void {
    const limits = this.#rules.volatility_regime;
    const { fastVolatility, slowVolatility, start, kind } = stats.window(limits.window);
    const times = fastVolatility.rms / slowVolatility.rms;
    const measure = slowVolatility.count < limits.min_windows ? 0 : times / limits.times;
    this.#raise('volatility_regime', stats.ts, measure, () => found('volatility_regime', start, {
      window: kind.name, times, volatility_bp: fastVolatility.rms * 10_000, usual_volatility_bp: slowVolatility.rms * 10_000,
    }));
  }

  #spread(stats: SymbolStats, found: Found): void {
    const limits = this.#rules.spread_blowout;
    const { spread, spreads } = stats;
    const measure = spreads.count < limits.min_quotes ? 0 : Math.min(spread / (limits.times * spreads.mean), spread / limits.min_bp);
    this.#raise('spread_blowout', stats.ts, measure, () => found('spread_blowout', grid(stats.ts), { ...quoteData(stats), usual_spread_bp: spreads.mean }));
  }

  #level(
    rule: RuleName, stats: SymbolStats, level: LevelName, name: (typeof windowNames)[number], measure: (change: number, before: number) => number, found: Found,
  ): void {
    const w = windowNames.indexOf(name);
    const change = stats.levels.change(level, w);
    if (Number.isNaN(change)) return;
    const now = stats.levels.value(level);
    this.#raise(rule, stats.ts, measure(change, now - change), () =>
      found(rule, stats.levels.start(w), { window: WINDOWS[w]!.name, [level]: now, before: now - change, change }));
  }
}

const grid = (ts: number): number => Math.floor(ts / QUOTE_GRID) * QUOTE_GRID;

const windowData = (window: TradeWindow): Record<string, unknown> => ({
  window: window.kind.name, trades: window.trades, volume: window.volume, imbalance: finite(window.signed / window.volume),
  vwap: finite(window.notional / window.volume),
});

const quoteData = (stats: SymbolStats): Record<string, unknown> => ({ best_bid_price: stats.bid, best_ask_price: stats.ask, spread_bp: stats.spread });
