// The log of exchange states against the rules of the state machine, which stand here a second time on purpose: a witness
// that asked the script it watches would agree with it.
import type { Redis } from 'ioredis';
import { systemStateKey, systemStateMetaKey } from '../../contracts/index.ts';
import type { Pool } from '../../store/connect.ts';
import { settle } from './settle.ts';
import { verdict, type Verdict } from './verdict.ts';

export interface StateChange {
  exchange: string;
  ver: number;
  epoch: number;
  from: string | null;
  to: string;
  by: string;
}

export interface StateNow {
  exchange: string;
  state: string | null;
  ver: number;
}

const NEXT: Readonly<Record<string, readonly string[]>> = {
  '': ['BOOTSTRAPPING'],
  BOOTSTRAPPING: ['BOOTSTRAPPING', 'RECONCILING', 'LOCKED'],
  RECONCILING: ['HEALTHY', 'LOCKED', 'BOOTSTRAPPING'],
  HEALTHY: ['AUDITING', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
  AUDITING: ['HEALTHY', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
  LOCKED: ['RECONCILING', 'HEALTHY', 'BOOTSTRAPPING', 'LOCKED'],
};
const PROVEN = ['RECONCILING', 'AUDITING'];

/** What is wrong with a log (in the order of exchange and version) and with what Redis says in the end. */
export function stateProblems(log: readonly StateChange[], now: readonly StateNow[]): string[] {
  const problems: string[] = [];
  const last = new Map<string, StateChange>();
  for (const change of log) {
    const { exchange, ver, epoch, from, to, by } = change;
    const before = last.get(exchange);
    last.set(exchange, change);
    const say = (what: string): void => void problems.push(`${exchange} version ${ver}: ${what}`);
    if (ver !== (before?.ver ?? 0) + 1) say(`follows version ${before?.ver ?? 0}`);
    if (epoch < (before?.epoch ?? 0)) say(`epoch ${epoch} after ${before?.epoch}`);
    if (from !== null && from !== '' && before !== undefined && from !== before.to) say(`from ${from}, but it was ${before.to}`);
    if (NEXT[from ?? '']?.includes(to) !== true) say(`${from ?? 'nothing'} → ${to} is no legal edge`);
    const trusted = PROVEN.includes(from ?? '') || (from === 'LOCKED' && by.startsWith('operator'));
    if (to === 'HEALTHY' && !trusted) say(`HEALTHY from ${from ?? 'nothing'} by ${by}`);
  }
  for (const { exchange, state, ver } of now) {
    const logged = last.get(exchange);
    if (logged === undefined) problems.push(`${exchange}: no change is on record`);
    else if (state !== logged.to || ver !== logged.ver) {
      problems.push(`${exchange} is ${state ?? 'without a state'} in version ${ver}, the log ends with ${logged.to} in ${logged.ver}`);
    }
    if (state !== 'HEALTHY') problems.push(`${exchange} is ${state ?? 'without a state'} in the end`);
  }
  return problems;
}

/** Waits until log and Redis agree and all exchanges are HEALTHY, and judges the whole log. */
export async function checkStates(pool: Pool, redis: Redis, exchanges: readonly string[], seconds: number): Promise<Verdict> {
  let log: StateChange[] = [];
  let problems: string[] = [];
  const complaint = await settle(seconds, async () => {
    const { rows } = await pool.query<StateChange>(
      `SELECT exchange, ver::int, epoch::int, from_state AS "from", to_state AS "to", by FROM state_log ORDER BY exchange, ver`);
    log = rows;
    problems = stateProblems(log, await Promise.all(exchanges.map(async (exchange) => ({
      exchange, state: await redis.get(systemStateKey(exchange)), ver: Number(await redis.hget(systemStateMetaKey(exchange), 'ver')),
    }))));
    return problems[0] ?? null;
  });
  const offenders = complaint === null ? [] : [...new Set([complaint, ...problems])];
  return verdict('state_machine', offenders, `${log.length} changes of ${exchanges.length} exchanges, ${offenders.length} against the rules`,
    { changes: log.length, problems: offenders.length });
}
