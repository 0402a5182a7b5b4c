// The top of the memory ladder: exchanges that may trade are LOCKED, and what the ladder has locked it takes off again by itself: to
// RECONCILING, from where the governor's data checks lead on. A lock of anybody else stays, also one written over the ladder's own.
import { emitEvent } from '../../bus/events.ts';
import { MEMORY_LADDER } from '../../bus/memory.ts';
import { changeState, isMarked, peekState } from '../../bus/state.ts';
import type { MemoryLevel, SystemState } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { insertStateChanges, type StateChangeRow } from '../../store/state_log.ts';
import type { TaskContext } from './task.ts';

const HAND = 'hand-written SET';

interface Wish {
  to: SystemState;
  by: string;
  reason: string;
  hand?: 'mark' | 'marked';
}

interface Seen {
  state: string | null;
  meta: Record<string, string>;
  marked: boolean;
}

/** Moves what the level asks for; returns a line for each state that moved. */
export async function moveStates(ctx: TaskContext, level: MemoryLevel, percent: number): Promise<string[]> {
  const lines: string[] = [];
  for (const exchange of ctx.exchanges) {
    const [{ state, meta }, marked] = await Promise.all([peekState(ctx.redis, exchange), isMarked(ctx.redis, exchange)]);
    const seen = { state, meta, marked };
    const wish = wishOf(seen, level, `redis at ${percent} % of maxmemory`);
    if (wish !== null && await move(ctx, exchange, seen, wish)) lines.push(`${exchange} ${state} → ${wish.to}: ${wish.reason}`);
  }
  void ctx.unlogged.flush();
  return lines;
}

/** Only what may trade is locked: a bootstrap or a reconciliation on its way goes on, and becomes HEALTHY for a moment at most. */
function wishOf({ state, meta, marked }: Seen, level: MemoryLevel, reason: string): Wish | null {
  const ours = meta['by'] === MEMORY_LADDER && meta['state'] === state;
  if (ours && state === 'LOCKED' && !marked) return { to: 'LOCKED', by: HAND, reason: 'locked by hand over the lock of the memory ladder' };
  if (level === 'locked') return state === 'HEALTHY' || state === 'AUDITING' ? { to: 'LOCKED', by: MEMORY_LADDER, reason, hand: 'mark' } : null;
  if (ours && state === 'LOCKED') return { to: 'RECONCILING', by: MEMORY_LADDER, reason, hand: 'marked' };
  return null;
}

/** False when somebody else has moved it meanwhile: their word stands. */
async function move(ctx: TaskContext, exchange: string, { state, meta }: Seen, { to, by, reason, hand }: Wish): Promise<boolean> {
  const atMicros = ctx.clock.nowMicros();
  const [epoch, ver] = [Number(meta['epoch'] ?? 0), Number(meta['ver'] ?? 0)];
  const expected = state as SystemState;
  const change = { exchange, expected, to, epoch, ver, atMicros, by, reason, ...(hand === undefined ? {} : { hand }) };
  const outcome = await changeState(ctx.redis, change, ctx.exchanges);
  if (!outcome.ok) return false;
  ctx.unlogged.add({ exchange, ver: outcome.ver, epoch: outcome.epoch, from: state, to, atMicros, by, reason });
  await emitEvent(ctx.redis, {
    event_id: `state:${exchange}:${outcome.ver}`, type: 'state.changed', severity: to === 'LOCKED' ? 'critical' : 'info', ts: atMicros,
    data: { exchange, from: state, to, ver: outcome.ver, epoch: outcome.epoch, by, reason },
  });
  return true;
}

/** Changes of states that the database does not have yet: it may be away for as long as Redis is full. */
export class UnloggedChanges {
  readonly #pool: Pool;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #rows: StateChangeRow[] = [];
  #writing: Promise<void> | null = null;

  constructor(pool: Pool, log: Pick<Logger, 'warn'>) {
    this.#pool = pool;
    this.#log = log;
  }

  add(row: StateChangeRow): void {
    this.#rows.push(row);
  }

  /** Writes what there is, one call at a time; what the database does not take stays for the next one. Never rejects. */
  flush(): Promise<void> {
    if (this.#rows.length === 0) return Promise.resolve();
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    const rows = [...this.#rows];
    try {
      await insertStateChanges(this.#pool, rows);
      this.#rows.splice(0, rows.length);
    } catch (error) {
      this.#log.warn({ err: toError(error), changes: rows.length }, 'changes of states wait for the database');
    }
  }
}
