// The error policy of writing: infrastructure waits, data is bisected to the bad row, the unknown is counted and then
// isolated. Owns repetition and blame; knows nothing of streams except that a row has an entry.
import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamEntry } from '../../bus/consumer.ts';
import type { DeadLetter, DlqErrorClass } from '../../bus/dlq.ts';
import { Backoff } from '../../core/backoff.ts';
import { classify, toError, type ErrorClass } from '../../core/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { partitionsMoved, pingDatabase, sqlState, type Pool } from '../../store/connect.ts';
import { batchOf, letterOf, prepare, type Batch, type BatchContext, type Prepared } from './batch.ts';
import type { DistributorMetrics } from './metrics.ts';
import { writeBatch, type WriteOutcome } from './write.ts';

export interface WriterOptions {
  pool: Pool;
  context: BatchContext;
  metrics: DistributorMetrics;
  log: Pick<Logger, 'warn' | 'info'>;
  random: () => number;
  /** Days that have a partition of their own. */
  partitionDays: () => ReadonlySet<number>;
  /** The database is away (or back: null): whoever feeds us must stop meanwhile. */
  onOutage: (reason: Error | null) => void;
  /** Looks at the partitions again: one may have been dropped under us. */
  refreshPartitions: () => Promise<void>;
}

interface Failed {
  error: Error;
  errorClass: Exclude<ErrorClass, 'infrastructure'> | 'timeout';
}

const RETRY = { baseMs: 50, maxMs: 5_000 };
const UNKNOWN_ATTEMPTS = 3;
const UNIQUE_VIOLATION = '23505';
const STATEMENT_TIMEOUT = '57014';

export class BatchWriter {
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Looks up the instruments that are missing and plans the rows. Rejects only when `signal` aborts. */
  async makeReady(batch: Batch, signal: AbortSignal): Promise<Prepared> {
    const { context: { instruments }, pool } = this.#options;
    const { unresolved } = batch;
    if (unresolved.length > 0) {
      const keys = unresolved.map(({ message }) => ({ marketId: message.market_id, symbol: message.symbol ?? '' }));
      await this.#persist(() => instruments.resolve(pool, keys), signal);
      for (const { message, resolve } of unresolved) resolve(instruments.get(message.market_id, message.symbol ?? ''));
    }
    return prepare(batch);
  }

  /** Stores all of a batch that can be stored; returns dead letters for the rest. Rejects only when `signal` aborts. */
  async store(prepared: Prepared, signal: AbortSignal, careful = false): Promise<DeadLetter[]> {
    if (prepared.batch.rows === 0) return [];
    const outcome = await this.#attempt(prepared, careful, signal);
    if (!('error' in outcome)) return this.#committed(prepared.batch, outcome);
    // Rows that are stored but not covered: the slower path compares them and repairs the coverage.
    if (sqlState(outcome.error) === UNIQUE_VIOLATION && !careful) return this.store(prepared, signal, true);
    const entries = prepared.batch.entries();
    const [only, second] = entries;
    if (only !== undefined && second === undefined) {
      if (outcome.errorClass === 'timeout') return this.store(prepared, signal, careful);
      return [this.#letter(only, outcome)];
    }
    return this.#bisect(entries, signal, careful);
  }

  async #bisect(entries: readonly StreamEntry[], signal: AbortSignal, careful: boolean): Promise<DeadLetter[]> {
    const { metrics, context } = this.#options;
    metrics.bisections.inc();
    const letters: DeadLetter[] = [];
    const middle = entries.length >> 1;
    for (const half of [entries.slice(0, middle), entries.slice(middle)]) {
      letters.push(...await this.store(prepare(batchOf(half, context)), signal, careful));
    }
    return letters;
  }

  /** One transaction, repeated while the reason lies with the infrastructure. */
  async #attempt(prepared: Prepared, careful: boolean, signal: AbortSignal): Promise<WriteOutcome | Failed> {
    const { pool, metrics, partitionDays } = this.#options;
    let unknown = 0;
    return this.#persist(async (): Promise<WriteOutcome | Failed> => {
      try {
        return await writeBatch(pool, prepared, { partitionDays: partitionDays(), careful });
      } catch (thrown) {
        const error = toError(thrown);
        if (sqlState(error) === STATEMENT_TIMEOUT) return { error, errorClass: 'timeout' };
        if (!partitionsMoved(error) && classify(error) === 'data') return { error, errorClass: 'data' };
        if (classify(error) === 'unknown' && ++unknown >= UNKNOWN_ATTEMPTS) return await this.#blame(error);
        metrics.retries.inc({ error_class: classify(error) });
        throw error;
      }
    }, signal);
  }

  /** An error nobody knows: with a database that does not answer it is the infrastructure after all. */
  async #blame(error: Error): Promise<Failed> {
    await pingDatabase(this.#options.pool);
    return { error, errorClass: 'unknown' };
  }

  /** Repeats `work` with growing waits until it does not throw; tells onOutage. Rejects only when `signal` aborts. */
  async #persist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { log, onOutage, random, refreshPartitions } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    for (;;) {
      signal.throwIfAborted();
      try {
        const result = await work();
        if (backoff.attempts > 0) onOutage(null);
        return result;
      } catch (thrown) {
        const error = toError(thrown);
        if (backoff.attempts === 0) log.warn({ err: error }, 'writing failed, trying again');
        onOutage(error);
        if (partitionsMoved(error)) await refreshPartitions().catch(() => undefined);
        await sleep(backoff.next(), undefined, { signal });
      }
    }
  }

  #committed(batch: Batch, { trades, ohlc, tickers, gaps }: WriteOutcome): DeadLetter[] {
    const { metrics, context } = this.#options;
    for (const [table, rows] of Object.entries({ public_trades: trades.stored, ohlc, tickers, data_gaps: gaps })) {
      if (rows > 0) metrics.rows.inc({ table }, rows);
    }
    if (trades.duplicates > 0) metrics.duplicates.inc(trades.duplicates);
    if (trades.conflicts.length > 0) metrics.conflicts.inc(trades.conflicts.length);
    return trades.conflicts.flatMap(({ row, error }) => {
      const entry = batch.tradeEntries[row];
      return entry === undefined ? [] : [letterOf(entry, { error, errorClass: 'conflict' }, context.nowMicros())];
    });
  }

  #letter(entry: StreamEntry, { error, errorClass }: Failed): DeadLetter {
    const state = sqlState(error);
    const dlqClass: DlqErrorClass = errorClass === 'data' ? 'database' : 'poison';
    const text = `${error.message}${state === '' ? '' : ` (SQLSTATE ${state})`}`;
    return letterOf(entry, { error: text, errorClass: dlqClass }, this.#options.context.nowMicros());
  }
}
