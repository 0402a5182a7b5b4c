// Work by the clock, beside the data: partitions made ahead, and the figures of lag and dead letters.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { StreamConsumer } from '../../bus/consumer.ts';
import { countLetters } from '../../bus/dlq.ts';
import type { Clock } from '../../core/clock.ts';
import { dayOfMicros } from '../../core/days.ts';
import { toError } from '../../core/errors.ts';
import type { Health } from '../../runtime/health.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { PARTITIONED_TABLES, countDefaultRows, ensureDayPartitions, loadPartitionDays } from '../../store/partitions.ts';
import type { DistributorMetrics } from './metrics.ts';

export interface KeeperOptions {
  pool: Pool;
  redis: Redis;
  consumer: StreamConsumer;
  stream: string;
  metrics: DistributorMetrics;
  health: Health;
  log: Pick<Logger, 'info' | 'warn'>;
  clock: Clock;
}

const DAYS_BACK = 1;
const DAYS_AHEAD = 3;
const PARTITIONS_EVERY_MS = 3_600_000;
const AFTER_FAILURE_MS = 30_000;
const FIGURES_EVERY_MS = 2_000;
/** A consumer this far behind is not ready for traffic. */
const MAX_LAG_SECONDS = 60;

export class Keeper {
  readonly #options: KeeperOptions;
  #days: ReadonlySet<number> = new Set();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Days that public_trades has a partition for, as of the last look. */
  get tradeDays(): ReadonlySet<number> {
    return this.#days;
  }

  /** Looks at the partitions again. */
  async refresh(): Promise<void> {
    this.#days = await loadPartitionDays(this.#options.pool, 'public_trades');
  }

  /** Makes the partitions of yesterday to three days ahead. Rejects with the database's error. */
  async makePartitions(): Promise<void> {
    const { pool, clock, metrics, log } = this.#options;
    const today = dayOfMicros(clock.nowMicros());
    for (const table of PARTITIONED_TABLES) {
      const made = await ensureDayPartitions(pool, table, today - DAYS_BACK, today + DAYS_AHEAD);
      if (made > 0) log.info({ table, made }, 'day partitions made ahead');
      metrics.defaultRows.set({ table }, await countDefaultRows(pool, table));
    }
    await this.refresh();
  }

  /** Runs until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      every(signal, async () => {
        try {
          await this.makePartitions();
          return PARTITIONS_EVERY_MS;
        } catch (error) {
          // Rows go to the default partition meanwhile.
          this.#options.log.warn({ err: toError(error) }, 'could not make partitions, trying again');
          return AFTER_FAILURE_MS;
        }
      }),
      every(signal, async () => {
        // What is asked while Redis is away would pile up in the client.
        if (this.#options.redis.status === 'ready') await this.#figures().catch(() => undefined);
        return FIGURES_EVERY_MS;
      }),
    ]);
  }

  async #figures(): Promise<void> {
    const { redis, consumer, stream, metrics, health } = this.#options;
    const [lag, letters] = await Promise.all([consumer.lag(), countLetters(redis, stream)]);
    metrics.lagEntries.set(lag.entries ?? Number.NaN);
    metrics.pendingEntries.set(lag.pending);
    metrics.lagSeconds.set(lag.seconds);
    metrics.dlqEntries.set(letters);
    health.set('lag', lag.seconds <= MAX_LAG_SECONDS, `${lag.entries ?? 'unknown'} entries, ${lag.seconds} s behind; ${letters} dead letters`);
  }
}

/** Calls `work` again and again; it says how long to wait in ms. */
async function every(signal: AbortSignal, work: () => Promise<number>): Promise<void> {
  while (!signal.aborted) await sleep(await work(), undefined, { signal }).catch(() => undefined);
}
