// Request credits: pools of an address (without a key) or of the account, that refill at 10,000 a second.
import type { World } from '../world.ts';

const REFILL_PER_S = 10_000;
const POOLS = {
  default: { cost: 500, size: 50_000 },
  instruments: { cost: 10_000, size: 500_000 },
  subscribe: { cost: 3_000, size: 30_000 },
  /** private/get_transaction_log. */
  log: { cost: 10_000, size: 80_000 },
  /** The matching engine at the lowest volume: 5 a second, 20 at once. */
  matching: { cost: 2_000, size: 40_000 },
} as const;
export type Pool = keyof typeof POOLS;

export class Credits {
  readonly #world: Pick<World, 'limits' | 'clock'>;
  readonly #left = new Map<string, { credits: number; atMs: number }>();

  constructor(world: Pick<World, 'limits' | 'clock'>) {
    this.#world = world;
  }

  /** False when the pool does not hold the cost. */
  spend(owner: string, pool: Pool): boolean {
    if (!this.#world.limits) return true;
    const { cost, size } = POOLS[pool];
    const now = this.#world.clock.monotonicMs();
    const key = `${owner} ${pool}`;
    const state = this.#left.get(key) ?? { credits: size, atMs: now };
    state.credits = Math.min(size, state.credits + ((now - state.atMs) / 1000) * REFILL_PER_S);
    state.atMs = now;
    this.#left.set(key, state);
    if (state.credits < cost) return false;
    state.credits -= cost;
    return true;
  }
}
