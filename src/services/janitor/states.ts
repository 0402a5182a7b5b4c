// Moves every configured exchange through the bootstrap's states, and remembers the changes until there is a table for them.
import type { Redis } from 'ioredis';
import { emitEvent } from '../../bus/events.ts';
import { MEMORY_LADDER } from '../../bus/memory.ts';
import { changeState, peekState, type StateOutcome } from '../../bus/state.ts';
import type { SystemState } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { StateChangeRow } from '../../store/state_log.ts';

const BY = 'janitor';
/** Written while a bootstrap runs over somebody else's lock, so that a bootstrap that dies half-way does not forget it. */
export const BY_KEEPING_LOCK = 'janitor (lock kept)';

export interface BootstrapStatesOptions {
  redis: Redis;
  exchanges: readonly string[];
  clock: Clock;
  log: Logger;
}

interface Tracked {
  epoch: number;
  state: SystemState | null;
  /** Who locked it, when that was not a bootstrap: such a lock outlives this one. */
  lockedBy: string | null;
  /** Another bootstrap took over: what it decides stands. */
  superseded: boolean;
}

export class BootstrapStates {
  readonly #options: BootstrapStatesOptions;
  readonly #tracked = new Map<string, Tracked>();
  readonly #unlogged: StateChangeRow[] = [];

  constructor(options: BootstrapStatesOptions) {
    this.#options = options;
  }

  /** A new bootstrap: a higher epoch for each exchange, which fences off whoever held it before. */
  async begin(): Promise<void> {
    for (const exchange of this.#options.exchanges) {
      const { state, meta } = await peekState(this.#options.redis, exchange);
      const lockedBy = foreignLock(state, meta);
      const tracked: Tracked = { epoch: Number(meta['epoch'] ?? 0) + 1, state: null, lockedBy, superseded: false };
      this.#tracked.set(exchange, tracked);
      await this.#move(exchange, tracked, '*', 'BOOTSTRAPPING', lockedBy === null ? 'bootstrap' : `bootstrap; locked by ${lockedBy}`);
    }
  }

  /** Moves those of `among` that are still ours. A lock that an operator set stays, whatever `to` says. */
  async moveAll(to: SystemState, reason: string, among: readonly string[] = this.#options.exchanges): Promise<void> {
    for (const [exchange, tracked] of this.#tracked) {
      if (!among.includes(exchange)) continue;
      const kept = to === 'HEALTHY' && tracked.lockedBy !== null;
      await this.#move(exchange, tracked, tracked.state, kept ? 'LOCKED' : to, kept ? `lock kept: ${tracked.lockedBy}` : reason);
    }
  }

  /** Leaves an exchange RECONCILING, for the governor to go on with; one that an operator had locked is locked again. */
  async hold(exchange: string, why: string): Promise<void> {
    const tracked = this.#tracked.get(exchange);
    if (tracked === undefined || tracked.superseded) return;
    if (tracked.lockedBy !== null) await this.#move(exchange, tracked, tracked.state, 'LOCKED', `lock kept: ${tracked.lockedBy}`);
    else this.#options.log.warn({ exchange, why }, 'not healthy yet: the governor goes on when the data checks pass');
  }

  /** The changes made since the last call, for state_log. */
  takeChanges(): StateChangeRow[] {
    return this.#unlogged.splice(0);
  }

  async #move(exchange: string, tracked: Tracked, expected: SystemState | null | '*', to: SystemState, reason: string): Promise<void> {
    if (tracked.superseded) return;
    const { redis, exchanges, clock, log } = this.#options;
    const atMicros = clock.nowMicros();
    const by = tracked.lockedBy === null ? BY : BY_KEEPING_LOCK;
    const outcome = await changeState(redis, { exchange, expected, to, epoch: tracked.epoch, atMicros, by, reason }, exchanges);
    if (!outcome.ok) {
      this.#refused(exchange, tracked, to, outcome);
      return;
    }
    tracked.state = to;
    this.#unlogged.push({ exchange, ver: outcome.ver, epoch: outcome.epoch, from: outcome.from, to, atMicros, by, reason });
    log.info({ exchange, from: outcome.from, to, reason }, 'state changed');
    await emitEvent(redis, {
      event_id: `state:${exchange}:${outcome.ver}`,
      type: 'state.changed',
      severity: to === 'LOCKED' ? 'warning' : 'info',
      ts: atMicros,
      data: { exchange, from: outcome.from, to, ver: outcome.ver, epoch: outcome.epoch, by, reason },
    });
  }

  /** Somebody moved it since: a bootstrap beside this one, or an operator who locked. Their word stands. */
  #refused(exchange: string, tracked: Tracked, to: SystemState, outcome: StateOutcome & { ok: false }): void {
    tracked.superseded = true;
    this.#options.log.warn({ exchange, wanted: to, why: outcome.why, actual: outcome.actual }, 'state was changed by another; left as it is');
  }
}

/** Who holds a lock that a bootstrap must not undo; null when there is none. */
function foreignLock(state: string | null, meta: Record<string, string>): string | null {
  const by = meta['by'] ?? '';
  if (by === BY_KEEPING_LOCK) return meta['reason'] ?? by;
  // Redis has lost the word, or all it had: then the log told what it was (goOnCounting).
  if ((state ?? meta['state']) !== 'LOCKED') return null;
  // A hand-written SET leaves the meta behind.
  if (meta['state'] !== 'LOCKED') return 'hand-written SET';
  // The ladder locks again by itself, should Redis still be full.
  return by === BY || by === MEMORY_LADDER ? null : `${by}: ${meta['reason'] ?? ''}`;
}
