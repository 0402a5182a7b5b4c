// Request weight per address and minute: 429 when it is used up, 418 for who goes on regardless.
import type { World } from '../world.ts';

const MINUTE = 60_000;
/** Requests after the 429 that turn it into a ban. */
const PATIENCE = 20;
const BAN_MS = 120_000;

interface Use {
  minute: number;
  weight: number;
  refused: number;
  bannedUntil: number;
  /** Over all minutes: weight that was answered, and requests that were refused. */
  served: number;
  turnedAway: number;
}

export interface Verdict {
  status: 200 | 429 | 418;
  used: number;
  retryAfterS: number;
  /** Ban end, exchange time in ms. */
  until: number;
}

export class Weights {
  readonly #world: World;
  readonly #limit: number;
  readonly #uses = new Map<string, Use>();

  constructor(world: World, limit: number) {
    this.#world = world;
    this.#limit = limit;
  }

  charge(ip: string, weight: number): Verdict {
    const now = this.#world.nowMs();
    const minute = Math.floor(now / MINUTE);
    const use = this.#uses.get(ip) ?? { minute, weight: 0, refused: 0, bannedUntil: 0, served: 0, turnedAway: 0 };
    this.#uses.set(ip, use);
    if (use.minute !== minute) Object.assign(use, { minute, weight: 0, refused: 0 });
    use.weight += weight;
    const verdict = (status: Verdict['status'], until: number): Verdict => {
      if (status === 200) use.served += weight;
      else use.turnedAway++;
      return { status, used: use.weight, until, retryAfterS: Math.max(1, Math.ceil((until - now) / 1000)) };
    };
    if (!this.#world.limits) return verdict(200, now);
    if (now < use.bannedUntil) return verdict(418, use.bannedUntil);
    if (use.weight <= this.#limit) return verdict(200, now);
    if (++use.refused <= PATIENCE) return verdict(429, (minute + 1) * MINUTE);
    use.bannedUntil = now + BAN_MS;
    return verdict(418, use.bannedUntil);
  }

  state(): Record<string, unknown> {
    return Object.fromEntries(this.#uses);
  }
}
