// A risk file for benches and tests.

export interface RiskText {
  readonly strategies: readonly string[];
  /** By symbol: order amount, order notional, position. */
  readonly limits: Readonly<Record<string, readonly [amount: number, notional: number, position: number]>>;
  readonly account?: Readonly<Record<string, unknown>>;
  /** Top-level keys. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** The text of a RISK_FILE that refuses nothing but what is beyond the given limits, or beyond `account` and `more`. */
export function riskFile({ strategies, limits, account, more }: RiskText): string {
  // Every JSON text is YAML.
  return JSON.stringify({
    strategies,
    instruments: Object.entries(limits).map(([symbol, [amount, notional, position]]) => (
      { symbol, max_order_amount: amount, max_order_notional: notional, max_position: position })),
    account: {
      max_open_orders: 10_000, max_orders_per_second: 10_000, max_orders_per_minute: 600_000, max_gross_notional: 1_000_000_000,
      max_daily_loss: { BTC: '5' }, min_available_percent: 1, ...account,
    },
    price_collar_percent: 50,
    reference_max_age_ms: 60_000,
    duplicate_window_ms: 0,
    repeated_executions: { count: 1_000_000, window_ms: 1000 },
    runaway: { refused: 1_000_000, window_ms: 1000 },
    max_clock_offset_ms: 5000,
    ...more,
  });
}
