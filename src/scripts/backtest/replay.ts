// The replay: stored rows in order of their time, each shown to the market, the equity curve and the strategy. Rows at which nothing
// can happen to the account (no order stands, no signal waits, no day ends) run through a loop without a promise; the others take the
// executor's way, one await after another, so that equal rows give equal runs.
//
// When a signal is executed: what a candle asked for, at the next price after its end (the next candle's open, the next trade, the
// next quote); what a quote asked for, at this quote. Nothing trades at a price that was known when it was decided on.
import { createHash, type Hash } from 'node:crypto';
import type { Signal } from '../../contracts/index.ts';
import type { StrategyRunner } from '../../services/executor/strategies/runner.ts';
import type { MarketView } from '../../services/executor/strategies/strategy.ts';
import type { EquityCurve } from './equity.ts';
import type { Session } from './session.ts';

const DAY_MICROS = 86_400_000_000;
/** 08:00 UTC: the exchange's day ends. */
const SETTLES_MICROS = 8 * 3_600_000_000;

/** Rows of one kind, piece by piece. */
export interface Lane {
  /** Time of the next row, µs; Infinity: there is none. */
  readonly next: number;
  /** Rows that it has given. */
  readonly rows: number;
  /** Gives rows up to `limit` (µs) until one needs `slow`, or the piece ends. */
  scan(limit: number): void;
  /** Gives one row, with all that it does to the account. */
  slow(): Promise<void>;
  /** Reads the next piece when this one has ended. */
  refill(): Promise<void>;
}

export class Replay {
  readonly session: Session;
  readonly curve: EquityCurve;
  readonly #runner: StrategyRunner;
  readonly #hash: Hash = createHash('sha256');
  #waiting: Signal[] = [];
  #seen = 0;
  #quoted = false;
  /** Signals that the strategy gave. */
  intents = 0;
  /** A row must take the slow way: something of ours stands in the market or waits for it. */
  busy = false;
  /** From this time on a row must take it, too: a day ends with a position. */
  settlesTs = Infinity;
  /** µs of the last row. */
  lastTs = -Infinity;

  constructor(session: Session, curve: EquityCurve, runner: StrategyRunner) {
    this.session = session;
    this.curve = curve;
    this.#runner = runner;
  }

  /** Runs all lanes to their end. Rejects with the signal's reason when it aborts. */
  async run(lanes: readonly Lane[], signal: AbortSignal): Promise<void> {
    for (const lane of lanes) await lane.refill();
    for (;;) {
      signal.throwIfAborted();
      const [lane, other] = earliest(lanes);
      if (lane === undefined || lane.next === Infinity) break;
      const before = lane.rows;
      lane.scan(other?.next ?? Infinity);
      // What stopped it at its first row needs the executor.
      if (lane.rows === before) await lane.slow();
      await this.#afterRow(lane);
    }
    if (this.lastTs > -Infinity) this.curve.end(this.lastTs);
  }

  /** sha256 over every signal in order, as JSON lines. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Shows the strategy a view; what it asks for waits. */
  show(view: MarketView): void {
    const signals = this.#runner.step(view, this.session.held);
    if (signals.length === 0) return;
    for (const signal of signals) this.#hash.update(`${JSON.stringify(signal)}\n`);
    this.intents += signals.length;
    this.#waiting.push(...signals);
    this.busy = true;
  }

  /** What waits was asked for at quotes that still stand: it needs no later price. */
  quoted(): void {
    this.#quoted = true;
  }

  /** Hands what waits to the executor, at the session's time and the market's prices. */
  async deliver(): Promise<void> {
    const signals = this.#waiting;
    this.#waiting = [];
    for (const signal of signals) await this.session.send(signal);
    await this.#settled();
  }

  async #afterRow(lane: Lane): Promise<void> {
    if (this.#quoted) {
      this.#quoted = false;
      await this.deliver();
    }
    await this.#settled();
    await lane.refill();
  }

  async #settled(): Promise<void> {
    const { session } = this;
    this.busy = this.#waiting.length > 0 || session.anyOpen;
    if (session.changes === this.#seen) return;
    this.#seen = session.changes;
    this.curve.hold(await session.position());
    this.settlesTs = this.curve.exposed ? nextSettlement(session.nowTs) : Infinity;
  }

  /** Time is `ts`: orders that quotes have moved through are filled, and a day that has ended is settled. */
  async advance(ts: number): Promise<void> {
    await this.session.advance();
    await this.#settled();
    if (this.curve.exposed) this.settlesTs = nextSettlement(ts);
  }
}

const nextSettlement = (ts: number): number => (Math.floor((ts - SETTLES_MICROS) / DAY_MICROS) + 1) * DAY_MICROS + SETTLES_MICROS;

/** The lane whose next row is first (of equals, the one that is listed first), and the one after it. */
function earliest(lanes: readonly Lane[]): [Lane | undefined, Lane | undefined] {
  const [only, second] = lanes;
  if (second === undefined) return [only, undefined];
  const sorted = [...lanes].sort((a, b) => a.next - b.next);
  return [sorted[0], sorted[1]];
}
