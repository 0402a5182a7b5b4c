// A seeded schedule of faults for a checked run, and what it did. The same seed gives the same schedule.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { Control, FaultOrder } from './control.ts';
import type { Fleet } from './fleet.ts';
import type { Supervised } from './supervisor.ts';
import { verdict, type Verdict } from './verdict.ts';

export interface Strike {
  atS: number;
  what: string;
  /** null when it was done, else why not. */
  problem: string | null;
}

export interface Planned {
  /** Share of the run's duration. */
  at: number;
  what: string;
  /** What the simulator is asked for, when it is. */
  fault?: FaultOrder;
  run: (tools: Tools) => Promise<unknown>;
}

interface Tools {
  fleet: Fleet;
  control: Control;
  redis: Redis;
  poison: string[];
  killed: string[];
}

/** After this share of the run everything is healed. */
export const HEAL_AT = 0.75;

/** Entries that no consumer can store; their neighbours must not suffer. */
const POISON = [
  'not json',
  '{"type":"trade"}',
  '{"v":1,"type":"nonsense"}',
  '[]',
  '',
  '{"v":1,"type":"trade","market_id":"x1","symbol":"A","exchange_ts":1790000000000000,"received_ts":1790000000000000,' +
    '"trade_id":"1","seq":1,"price":"NaN","amount":"1","side":"buy"}',
  '{"v":1,"type":"trade","market_id":"x1","symbol":"A","exchange_ts":1790000000000000,"received_ts":1790000000000000,' +
    '"trade_id":"1","seq":1,"price":"1e400","amount":"1","side":"buy"}',
];

/** mulberry32: small, and good enough to vary a schedule. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a run does to its fleet, in order; the same for the same seed, markets and duration, whatever happens meanwhile. */
export function schedule(seed: number, markets: readonly string[], durationS: number): Planned[] {
  const random = generator(seed);
  const market = (): string => markets[Math.floor(random() * markets.length)] ?? markets[0]!;
  const span = Math.max(500, durationS * 60);
  const order = (at: number, fault: FaultOrder): Planned => ({
    at,
    what: `${fault.kind} at ${fault.market_id}`,
    fault,
    run: ({ control }: Tools) => control.fault(fault),
  });
  return [
    order(0.08, { kind: 'duplicate', market_id: market(), probability: 0.2, duration_ms: 3 * span }),
    order(0.12, { kind: 'garbage', market_id: market(), probability: 0.3, count: 5 }),
    order(0.17, { kind: 'reorder', market_id: market(), probability: 0.3, duration_ms: 2 * span, factor: 5 }),
    order(0.22, { kind: 'gap', market_id: market(), count: 3 + Math.floor(random() * 5) }),
    order(0.27, { kind: 'cut', market_id: market(), count: 1 }),
    { at: 0.32, what: `${POISON.length} poison entries into the stream`, run: injectPoison },
    { at: 0.37, what: 'kill -9 of a distributor', run: (tools: Tools) => kill(tools, tools.fleet.distributors.at(-1)) },
    order(0.42, { kind: 'silence', market_id: market(), duration_ms: span }),
    { at: 0.47, what: 'kill -9 of the receiver', run: (tools: Tools) => kill(tools, tools.fleet.receiver) },
    {
      at: 0.57,
      what: 'immediate restart of PostgreSQL',
      run: ({ fleet }: Tools) => fleet.postgres.restart('immediate'),
    },
    { at: 0.61, what: 'kill -9 of the backfill', run: (tools: Tools) => killKeeper(tools, 'backfill') },
    { at: 0.63, what: 'kill -9 of the governor', run: (tools: Tools) => killKeeper(tools, 'governor') },
    order(0.65, { kind: 'burst', market_id: market(), factor: 5, duration_ms: span }),
  ].map((planned) => ({ ...planned, at: planned.at + (random() - 0.5) * 0.02 }))
    .concat({ at: HEAL_AT, what: 'all faults healed', run: ({ control }: Tools) => control.heal() })
    .sort((a, b) => a.at - b.at);
}

/** One number for a schedule: two runs with the same one were asked for the same faults at the same moments. */
export function scheduleHash(planned: readonly Planned[]): string {
  const lines = planned.map(({ at, what, fault }) => JSON.stringify([at, what, fault ?? null]));
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
}

/** What was done is what the seed says, in its order, and nothing else: a run that can be repeated. */
export function checkSchedule(planned: readonly Planned[], again: readonly Planned[], strikes: readonly Strike[], durationS: number): Verdict {
  const line = (what: string, atS: number): string => `${what} at ${atS.toFixed(1)} s`;
  const done = strikes.map(({ what, atS }) => line(what, atS));
  const due = planned.map(({ what, at }) => line(what, at * durationS));
  const [hash, second] = [scheduleHash(planned), scheduleHash(again)];
  const offenders = [
    ...(hash === second ? [] : [`the seed gave ${hash} first and ${second} then`]),
    ...due.flatMap((text, i) => (done[i] === text ? [] : [`planned ${text}, done ${done[i] ?? 'nothing'}`])),
    ...done.slice(due.length).map((text) => `not planned: ${text}`),
  ];
  return verdict('determinism', offenders, `${done.length} faults as the seed says, schedule ${hash}`, { faults: done.length });
}

function kill(tools: Tools, victim: Supervised | undefined): Promise<void> {
  if (victim === undefined) return Promise.reject(new Error('no such process'));
  tools.killed.push(victim.name);
  victim.kill();
  return Promise.resolve();
}

const killKeeper = (tools: Tools, name: string): Promise<void> => kill(tools, tools.fleet.keepers.find((keeper) => keeper.name === name));

async function injectPoison({ redis, poison }: Tools): Promise<void> {
  for (const payload of POISON) {
    const id = await redis.xadd(streamMarketDataKey, '*', 'payload', payload);
    if (id !== null) poison.push(id);
  }
}

export class Chaos {
  readonly strikes: Strike[] = [];
  /** Stream ids of the injected poison. */
  readonly poison: string[] = [];
  /** Names of the processes that were killed, once per time. */
  readonly killed: string[] = [];
  readonly #tools: Tools;

  constructor(fleet: Fleet, control: Control, redis: Redis) {
    this.#tools = { fleet, control, redis, poison: this.poison, killed: this.killed };
  }

  /** Plays a schedule over `durationS` seconds; resolves with its last entry. Never rejects. */
  async play(planned: readonly Planned[], durationS: number, signal: AbortSignal): Promise<void> {
    let passed = 0;
    for (const { at, what, run } of planned) {
      const due = at * durationS;
      try {
        await sleep((due - passed) * 1000, undefined, { signal });
      } catch {
        return;
      }
      passed = due;
      const problem = await run(this.#tools).then(
        () => null,
        (error: unknown) => toError(error).message,
      );
      this.strikes.push({ atS: Math.round(due * 10) / 10, what, problem });
    }
  }
}
