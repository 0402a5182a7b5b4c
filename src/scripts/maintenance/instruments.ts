// instruments: what expired is not open any more. Rows are never deleted: the history refers to them.
import { findExpired, markExpired } from '../../store/instruments.ts';
import { DAY_MICROS, verb, type TaskContext, type TaskReport } from './task.ts';

const NAMED = 20;

/** Marks instruments whose expiry is past by more than a day as `expired`: until then the exchange's own list may still say more. */
export async function instruments(ctx: TaskContext): Promise<TaskReport> {
  const { pool, clock, metrics, dryRun } = ctx;
  const cutoff = clock.nowMicros() - DAY_MICROS;
  const found = dryRun ? await findExpired(pool, cutoff) : await markExpired(pool, cutoff);
  if (!dryRun) metrics.expired.inc(found.length);
  const names = found.map(({ marketId, symbol }) => `${marketId}:${symbol}`).sort();
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return {
    lines: [`${verb(ctx, 'marked', 'mark')} ${names.length} instruments as expired`
      + (names.length === 0 ? '' : `: ${names.slice(0, NAMED).join(', ')}${more}`)],
    facts: { expired: names.length, instruments: names.slice(0, NAMED) },
    changed: names.length > 0,
  };
}
