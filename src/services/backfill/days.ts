// Days of trades: which have a partition, which get one before their trades come, and which are past their retention: those are
// dropped for good, and what was fetched of them would fill the default partition for nobody.
import { dayOfMicros } from '../../core/days.ts';
import type { Clock } from '../../core/clock.ts';
import type { Pool } from '../../store/connect.ts';
import { ensureDayPartitions, loadPartitionDays } from '../../store/partitions.ts';
import { Remembered } from './remembered.ts';

export interface TradeDaysOptions {
  pool: Pool;
  clock: Clock;
  /** TRADES_RETENTION_DAYS; 0: all are kept. */
  retentionDays: number;
}

const REMEMBER_MS = 60_000;
/** A day further ahead is a mistake of somebody's clock. */
const DAYS_AHEAD = 1;

export class TradeDays {
  readonly #options: TradeDaysOptions;
  readonly #known: Remembered<Set<number>>;

  constructor(options: TradeDaysOptions) {
    this.#options = options;
    this.#known = new Remembered(() => loadPartitionDays(options.pool, 'public_trades'), REMEMBER_MS, options.clock);
  }

  /** The first day that is kept (days since the epoch, UTC); -Infinity where all are. */
  get keptFrom(): number {
    const { clock, retentionDays } = this.#options;
    return retentionDays === 0 ? -Infinity : dayOfMicros(clock.nowMicros()) - retentionDays;
  }

  /** Days that have a partition of their own, after those of `wanted` got theirs. Rejects with the database's error. */
  async withPartitions(wanted: Iterable<number>): Promise<ReadonlySet<number>> {
    const { pool, clock } = this.#options;
    const known = await this.#known.get();
    const last = dayOfMicros(clock.nowMicros()) + DAYS_AHEAD;
    const absent = [...new Set(wanted)].filter((day) => !known.has(day) && day <= last);
    if (absent.length === 0) return known;
    for (const day of absent) await ensureDayPartitions(pool, 'public_trades', day, day);
    this.forget();
    return this.#known.get();
  }

  /** A partition that was known is not there any more. */
  forget(): void {
    this.#known.forget();
  }
}
