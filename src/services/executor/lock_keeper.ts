// The executor's own lock outlives it: it is a case with the status `locked`, in the database. It ends when an operator closes the
// case; the system's state, which is locked along with it, is the operator's by itself (system-unlock).
import { toError } from '../../core/errors.ts';
import type { CaseRecord, TradingStore } from '../../core/trading/records.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Trader } from './trader.ts';

export interface LockKeeperOptions {
  store: TradingStore;
  clock: Clock;
  log: Pick<Logger, 'warn' | 'error'>;
  account: string;
  marketId: string;
  pause: (ms: number) => Promise<void>;
  /** Locks the system's state and tells everybody. Repeated until it succeeds. */
  lockSystem: (reason: string) => Promise<void>;
  told: (locked: boolean, reason: string) => void;
}

const RETRY_MS = 1_000;
/** Cases that are no matter of time: they lock with the first attempt. */
const AT_ONCE: readonly CaseRecord['kind'][] = ['overfill', 'fill_conflict'];
const holds = ({ status, kind }: CaseRecord): boolean => status === 'locked' || AT_ONCE.includes(kind);

export class LockKeeper {
  readonly #options: LockKeeperOptions;
  /** The reason that is not on record yet. */
  #unrecorded: string | null = null;
  #locked = false;
  /** What an earlier life locked for: the system was locked then, and is the operator's since. */
  #found: string | null = null;

  constructor(options: LockKeeperOptions) {
    this.#options = options;
  }

  /** The trader has locked itself. */
  locked(reason: string): void {
    // What an earlier life left is on record: its case may be closed before this one has looked at it again.
    this.#unrecorded = reason === this.#found ? null : reason;
    this.#locked = true;
    this.#options.log.error({ reason }, `the executor has locked itself: ${reason}`);
    this.#options.told(true, reason);
  }

  /** What an earlier life left locked; null: nothing. Rejects when the store does not answer. */
  async found(): Promise<string | null> {
    const cases = await this.#options.store.openCases(this.#options.account);
    const locked = cases.find(holds);
    this.#found = locked === undefined ? null : (locked.decision ?? `case ${locked.caseId}: ${locked.kind} of ${locked.symbol ?? locked.account}`);
    return this.#found;
  }

  /** Records locks, and takes them off when the operator has closed the cases; until the process or this life ends. */
  async run(trader: Pick<Trader, 'unlock'>): Promise<void> {
    try {
      for (;;) {
        await this.#options.pause(RETRY_MS);
        await this.#step(trader).catch((error: unknown) => this.#options.log.warn({ err: toError(error) }, 'the lock is not on record yet'));
      }
    } catch {
      // this life ends
    }
  }

  async #step(trader: Pick<Trader, 'unlock'>): Promise<void> {
    if (!this.#locked) return;
    const reason = this.#unrecorded;
    if (reason !== null) {
      await this.#record(reason);
      await this.#options.lockSystem(reason);
      if (this.#unrecorded === reason) this.#unrecorded = null;
      return;
    }
    const cases = await this.#options.store.openCases(this.#options.account);
    // What came while it was locked for something else locks by itself, too: nobody has looked at it yet.
    if (cases.some(holds)) return;
    this.#locked = false;
    // From here on the same reason is a new lock, and locks the system, too.
    this.#found = null;
    this.#options.told(false, 'the operator has closed the cases');
    trader.unlock();
  }

  async #record(reason: string): Promise<void> {
    const { store, clock, account, marketId } = this.#options;
    const cases = await store.openCases(account);
    for (const entry of cases) {
      if (entry.status === 'open' && AT_ONCE.includes(entry.kind)) await store.settleCase(entry.caseId, 'locked', reason, clock.nowMicros());
    }
    if (cases.some(holds)) return;
    const opened = await store.openCase(
      { account, kind: 'order_mismatch', marketId, symbol: null, ours: { reason }, theirs: null, evidence: [] }, clock.nowMicros());
    await store.settleCase(opened.caseId, 'locked', reason, clock.nowMicros());
  }
}
