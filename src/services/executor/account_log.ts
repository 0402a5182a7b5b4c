// The keeper of the account's log: reads the exchange's own books at start, every minute and while an audit is asked for, and appends
// them to account_log with what follows: funding and deliveries. The janitor has no keys; it compares what this keeps. Fills that an
// audit has inserted are booked here. A read that failed concludes nothing: how far the log is known stays where it was.
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { deliveriesOfLog, equityOf } from '../../core/trading/account_log.ts';
import { Exact } from '../../core/trading/exact.ts';
import type { PositionRecord } from '../../core/trading/records.ts';
import { VenueError, type TradingVenue } from '../../exchanges/trading.ts';
import type { Logger } from '../../runtime/log.ts';
import type { AccountLogBooks } from '../../store/trading/account_log.ts';
import type { OrderDesk } from './desk.ts';
import { bookTerms, type Terms } from './ports.ts';

const LOOK_MS = 1_000;
const EVERY_MS = 60_000;
/** While an audit waits for it. */
const HURRY_MS = 3_000;
/** Rows may come late, and carry old times: so much is read again, µs. */
const OVERLAP = 10 * 60_000_000;
const AHEAD = 5_000_000;

export interface LogKeeperPorts {
  venue: Pick<TradingVenue, 'logCurrencies' | 'accountLog' | 'positions' | 'accounts'>;
  books: AccountLogBooks;
  /** Positions as they are on record. */
  positions: () => Promise<PositionRecord[]>;
  desk: Pick<OrderDesk, 'absorbFills' | 'noteFills'>;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn'>;
  account: string;
  marketId: string;
  terms: Terms;
  /** Waits until a page may be asked for. */
  turn: () => Promise<void>;
  /** Whether an audit of the exchange is asked for. */
  auditAsked: () => Promise<boolean>;
  /** A position on record has changed. */
  moved: (position: PositionRecord) => void;
  /** By how much the exchange's equity of a currency differs from ours. */
  differs: (currency: string, difference: number) => void;
  /** Rejects when this life ends. */
  pause: (ms: number) => Promise<void>;
}

export class LogKeeper {
  readonly #ports: LogKeeperPorts;
  #through: number | null = null;
  #readAtMs = -Infinity;
  #triedAtMs = -Infinity;
  readonly #failing = new Set<string>();

  constructor(ports: LogKeeperPorts) {
    this.#ports = ports;
  }

  /** Up to when (µs) this life has read the log; null: not yet. */
  get through(): number | null {
    return this.#through;
  }

  /** Until this life ends. */
  async run(): Promise<void> {
    for (;;) {
      await this.#quietly('what an audit has found is not booked yet', () => this.takeHealed());
      await this.#quietly('the exchange\'s log could not be read', async () => {
        if (!(await this.#isDue())) return;
        await this.read();
        await this.#quietly('equities could not be compared', () => this.#compareEquity());
      });
      try {
        await this.#ports.pause(LOOK_MS);
      } catch {
        return;
      }
    }
  }

  /** Books what audits have inserted; returns how many fills. */
  async takeHealed(): Promise<number> {
    const { books, account, desk, log } = this.#ports;
    const applied = await books.takeHealed(account, (symbol) => bookTerms(this.#ports.terms, symbol));
    if (applied.fresh.length === 0) return 0;
    log.info({ trade_ids: applied.fresh.map(({ tradeId }) => tradeId) }, 'fills that an audit has found are booked');
    await desk.noteFills(applied);
    return applied.fresh.length;
  }

  /**
   * Reads on from the last row of each currency; returns how many rows were new. Rejects when the exchange could not be asked, or
   * said what nobody can read: then nothing is known of this time.
   */
  async read(): Promise<number> {
    const { venue, books, account, marketId, clock, desk, moved, turn } = this.#ports;
    const through = clock.nowMicros();
    this.#triedAtMs = clock.monotonicMs();
    const last = await books.lastTs(account);
    let fresh = 0;
    for (const currency of venue.logCurrencies) {
      const rows = await venue.accountLog(currency, Math.max(0, (last.get(currency) ?? 0) - OVERLAP), through + AHEAD, turn);
      // Before their rows are on record: whoever is killed in between reads them again.
      const deliveries = deliveriesOfLog(rows);
      if (deliveries.length > 0) await desk.absorbFills(deliveries, 'transaction_log');
      const appended = await books.append(account, marketId, rows, (symbol) => bookTerms(this.#ports.terms, symbol));
      for (const position of appended.positions) moved(position);
      fresh += appended.fresh;
    }
    await books.readThrough(account, marketId, through);
    this.#through = through;
    this.#readAtMs = clock.monotonicMs();
    return fresh;
  }

  async #isDue(): Promise<boolean> {
    const now = this.#ports.clock.monotonicMs();
    // What has just failed is not asked for again at once.
    if (now - this.#triedAtMs < HURRY_MS) return false;
    return now - this.#readAtMs >= EVERY_MS || (await this.#ports.auditAsked());
  }

  /** Shows what neither fills nor log explain; funding of the running session is among it until the session ends. */
  async #compareEquity(): Promise<void> {
    const { venue, books, account, positions, differs } = this.#ports;
    const marks = new Map((await venue.positions()).map(({ symbol, markPrice }) => [symbol, markPrice]));
    const outside = await books.outside(account);
    const held = (await positions()).filter(({ symbol }) => bookTerms(this.#ports.terms, symbol).position);
    for (const { currency, equity } of await venue.accounts()) {
      const own = outside.get(currency);
      const mine = held.filter(({ settle }) => settle === currency);
      // Without a mark there is nothing to compare.
      if (own === undefined || mine.some(({ symbol, amount }) => amount !== '0' && (marks.get(symbol) ?? null) === null)) continue;
      const ours = equityOf(new Exact(own), mine.map((record) => ({
        position: {
          amount: new Exact(record.amount), cost: new Exact(record.cost), realised: new Exact(record.realised), fees: new Exact(record.fees),
          funding: new Exact(record.funding),
        },
        mark: new Exact(marks.get(record.symbol) ?? '1'), terms: bookTerms(this.#ports.terms, record.symbol),
      })));
      differs(currency, new Exact(equity).minus(ours).toNumber());
    }
  }

  /** A failure is told once, and tried again at a later look. */
  async #quietly(what: string, task: () => Promise<unknown>): Promise<void> {
    try {
      await task();
      this.#failing.delete(what);
    } catch (error) {
      if (!this.#failing.has(what)) this.#ports.log.warn({ err: toError(error), answer: error instanceof VenueError ? error.code : null }, what);
      this.#failing.add(what);
    }
  }
}
