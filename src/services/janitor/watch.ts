// Watches the states of the exchanges: a lock written by hand is made known to everybody at once, what nobody can read counts as
// a lock, and states that are gone mean that Redis was emptied.
import type { Redis } from 'ioredis';
import { peekState } from '../../bus/state.ts';
import { systemStateValues, type SystemState } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { moveState } from './move.ts';

export interface StateWatchOptions {
  redis: Redis;
  pool: Pool;
  exchanges: readonly string[];
  clock: Pick<Clock, 'nowMicros'>;
  log: Pick<Logger, 'warn'>;
}

const HAND = 'hand-written SET';

export class StateWatch {
  readonly #options: StateWatchOptions;

  constructor(options: StateWatchOptions) {
    this.#options = options;
  }

  /** Looks once; resolves with the exchanges that have no state at all. Rejects when Redis or the database do not answer. */
  async look(): Promise<string[]> {
    const gone: string[] = [];
    for (const exchange of this.#options.exchanges) {
      const { state, meta } = await peekState(this.#options.redis, exchange);
      if (state === null) gone.push(exchange);
      else if (state !== meta['state']) await this.#adopt(exchange, state, meta);
    }
    return gone;
  }

  /** Somebody wrote the state without the script. Only a lock may be written so; everything else becomes one. */
  async #adopt(exchange: string, written: string, meta: Record<string, string>): Promise<void> {
    const reason = written === 'LOCKED' ? 'locked by hand' : `${JSON.stringify(written.slice(0, 60))} was written by hand: only LOCKED may be`;
    const known: SystemState | '*' = systemStateValues.find((state) => state === written) ?? '*';
    const seen = { state: written, meta };
    const outcome = await moveState(this.#options, { exchange, seen, expected: known, to: 'LOCKED', by: HAND, reason });
    if (outcome.ok) this.#options.log.warn({ exchange, written, reason }, 'state was written by hand');
  }
}
