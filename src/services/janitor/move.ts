// Moves a state, and tells it wherever it must be told: the log, the events. For whoever acts on what it has just read; a bootstrap
// has a way of its own (states.ts), because there may be no table yet.
import type { Redis } from 'ioredis';
import { emitEvent } from '../../bus/events.ts';
import { changeState, type StateOutcome } from '../../bus/state.ts';
import type { SystemState } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Pool } from '../../store/connect.ts';
import { insertStateChanges } from '../../store/state_log.ts';

export interface MoveParts {
  redis: Redis;
  pool: Pool;
  /** All that are served: the aggregate is over them. */
  exchanges: readonly string[];
  clock: Pick<Clock, 'nowMicros'>;
}

export interface Move {
  exchange: string;
  /** What was read; another state or version since then refuses the move. */
  seen: { state: string | null; meta: Record<string, string> };
  expected: SystemState | '*';
  to: SystemState;
  by: string;
  reason: string;
}

/** Rejects when Redis or the database do not answer; a refusal is an outcome. */
export async function moveState({ redis, pool, exchanges, clock }: MoveParts, { exchange, seen, expected, to, by, reason }: Move): Promise<StateOutcome> {
  const atMicros = clock.nowMicros();
  const [epoch, ver] = [Number(seen.meta['epoch'] ?? 0), Number(seen.meta['ver'] ?? 0)];
  const why = reason.slice(0, 500);
  const outcome = await changeState(redis, { exchange, expected, to, epoch, ver, atMicros, by, reason: why }, exchanges);
  // Another one was faster, or the state has moved on.
  if (!outcome.ok) return outcome;
  await insertStateChanges(pool, [{ exchange, ver: outcome.ver, epoch: outcome.epoch, from: seen.state, to, atMicros, by, reason: why }]);
  await emitEvent(redis, {
    event_id: `state:${exchange}:${outcome.ver}`, type: 'state.changed', severity: to === 'LOCKED' ? 'warning' : 'info', ts: atMicros,
    data: { exchange, from: seen.state, to, ver: outcome.ver, epoch: outcome.epoch, by, reason: why },
  });
  return outcome;
}
