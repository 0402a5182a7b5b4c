// RISK_FILE: what the executor may do, read once at the start. Everything must be said: a limit that is missing is a mistake in the
// file, never "no limit". Unknown keys are refused with their path.
import { load } from 'js-yaml';
import { z } from 'zod';
import { explain } from '../../../contracts/index.ts';
import { UsageError, toError } from '../../../core/errors.ts';
import { exact } from '../../../core/trading/exact.ts';

/** YAML gives numbers for unquoted text: their shortest text is the value, and one that is not plain (1e-7) is refused. */
const positive = z.union([z.string(), z.number()]).transform((value, context) => {
  const text = String(value);
  const parsed = exact(text);
  if (parsed !== null && parsed.gt(0)) return text;
  context.addIssue({ code: 'custom', message: 'not a positive decimal without exponent' });
  return z.NEVER;
});
const count = z.int().min(1).max(1_000_000);
const strategyName = z.string().regex(/^[a-z][a-z0-9-]{0,19}$/);

const instrument = z.strictObject({
  symbol: z.string().min(1).max(96),
  /** Largest single order, in the amount unit. */
  max_order_amount: positive,
  /** Largest single order, in the quote currency. */
  max_order_notional: positive,
  /** Largest position either way, open orders counted, in the amount unit. */
  max_position: positive,
});

const limitsSchema = z.strictObject({
  /** Strategies whose signals are taken. */
  strategies: z.array(strategyName).min(1),
  instruments: z.array(instrument).min(1),
  account: z.strictObject({
    max_open_orders: count,
    /** Both must stay below the exchange's own credits (Deribit: 5 per second, burst 20). */
    max_orders_per_second: count,
    max_orders_per_minute: count,
    /** Sum over all instruments of position and open orders, in quote. */
    max_gross_notional: positive,
    /** Per settlement currency: equity may fall so far below the day's first mark. */
    max_daily_loss: z.record(z.string().regex(/^[A-Z0-9]{2,10}$/), positive),
    /** Percent of equity that must stay available. */
    min_available_percent: positive,
  }),
  /** A limit price may be so far from mark and from last, percent. */
  price_collar_percent: positive,
  /** A mark or last price older than this is no reference. */
  reference_max_age_ms: count,
  /** The same strategy, symbol, side, amount and price again within this time is one order too many. */
  duplicate_window_ms: z.int().min(0).max(3_600_000),
  /** At most so many executed orders of one strategy, symbol and side in a window. */
  repeated_executions: z.strictObject({ count, window_ms: count }),
  /** So many orders of one strategy that the rates, the duplicate window or repeated_executions refuse within a window pull the kill switch. */
  runaway: z.strictObject({ refused: count, window_ms: count }),
  /** Our clock may differ so much from the exchange's. */
  max_clock_offset_ms: count,
});

export type RiskLimits = z.infer<typeof limitsSchema>;

/** Throws UsageError with one line that names the file, the key and the value. */
export function parseRiskLimits(yaml: string, file: string): RiskLimits {
  let tree: unknown;
  try {
    tree = load(yaml);
  } catch (error) {
    throw new UsageError(`RISK_FILE ${file}: ${toError(error).message.split('\n')[0]}`);
  }
  const result = limitsSchema.safeParse(tree);
  if (!result.success) throw new UsageError(`RISK_FILE ${file}: ${explain(result.error, tree)}`);
  const limits = result.data;
  const symbols = limits.instruments.map((entry) => entry.symbol);
  const twice = symbols.find((symbol, i) => symbols.indexOf(symbol) !== i);
  if (twice !== undefined) throw new UsageError(`RISK_FILE ${file}: instruments: ${twice} is listed twice`);
  return limits;
}
