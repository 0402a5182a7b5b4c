// A seeded schedule of faults: the same seed breaks the same things in the same order.
import type { Actions } from './actions.ts';
import type { FaultRequest } from './faults.ts';
import { Prng, hashText } from './prng.ts';
import type { Venue } from './world.ts';

const EVERY_MS = 4_000;

export class FaultSchedule {
  readonly #actions: Actions;
  readonly #venues: readonly Venue[];
  readonly #random: Prng;
  #timer: NodeJS.Timeout | null = null;

  constructor(actions: Actions, venues: readonly Venue[], seed: number) {
    this.#actions = actions;
    this.#venues = venues;
    this.#random = new Prng(hashText(`${seed} schedule`));
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#actions.inject(this.next());
      this.start();
    }, EVERY_MS * (0.5 + this.#random.float()));
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** The next fault of the schedule. */
  next(): FaultRequest {
    const pick = <T>(list: readonly T[]): T => list[Math.floor(this.#random.float() * list.length)] as T;
    const market_id = pick(this.#venues).marketId;
    const some = (): number => 1 + Math.floor(this.#random.float() * 20);
    return pick<() => FaultRequest>([
      () => ({ kind: 'gap', market_id, count: some() }),
      () => ({ kind: 'duplicate', market_id, count: some() }),
      () => ({ kind: 'reorder', market_id, count: some() * 5, duration_ms: 2_000 }),
      () => ({ kind: 'garbage', market_id, count: some(), duration_ms: 2_000 }),
      () => ({ kind: 'silence', market_id, duration_ms: 3_000 }),
      () => ({ kind: 'burst', market_id, duration_ms: 2_000, factor: 10 }),
      () => ({ kind: 'cut', market_id, mode: pick(['close', 'terminate', '24h', 'shutdown']) }),
      () => ({ kind: 'half_open', market_id, count: 1 }),
      () => ({ kind: 'refuse_connect', market_id, duration_ms: 1_500 }),
      () => ({ kind: 'rest_status', market_id, duration_ms: 2_000, mode: pick(['429', '500', '503', 'html', 'empty', 'truncated']) }),
      () => ({ kind: 'conflict', market_id, count: 1 }),
    ])();
  }
}
