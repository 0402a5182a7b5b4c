// keys: ticker hashes of instruments that are gone. Heartbeats, slots, bans and budgets end by themselves.
import { removeTickers, scanTickers, silentTickers, type SymbolKey } from '../../bus/keyspace.ts';
import { findGone } from '../../store/instruments.ts';
import { DAY_MICROS, verb, type TaskContext, type TaskReport } from './task.ts';

const NAMED = 20;

/** Gone: expired or not open for more than a day, and without a quote for as long. Hashes of unknown instruments stay. */
export async function keys(ctx: TaskContext): Promise<TaskReport> {
  const { redis, pool, clock, metrics, dryRun } = ctx;
  const cutoff = clock.nowMicros() - DAY_MICROS;
  const gone = new Map<string, SymbolKey>();
  for await (const tickers of scanTickers(redis)) {
    const found = await silentTickers(redis, await findGone(pool, tickers, cutoff), cutoff);
    if (!dryRun) metrics.removedKeys.inc(await removeTickers(redis, found));
    for (const ticker of found) gone.set(`${ticker.marketId}:${ticker.symbol}`, ticker);
  }
  const names = [...gone.keys()].sort();
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return {
    lines: [`${verb(ctx, 'removed', 'remove')} ${names.length} ticker hashes of instruments that are gone`
      + (names.length === 0 ? '' : `: ${names.slice(0, NAMED).join(', ')}${more}`)],
    facts: { removed: names.length, tickers: names.slice(0, NAMED) },
    changed: names.length > 0,
  };
}
