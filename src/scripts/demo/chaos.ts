// A seeded schedule of faults for a checked run, and what it did. The same seed gives the same schedule.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { Control, FaultOrder } from './control.ts';
import type { Fleet } from './fleet.ts';
import type { Supervised } from './supervisor.ts';

export interface Strike {
  atS: number;
  what: string;
  /** null when it was done, else why not. */
  problem: string | null;
}

interface Planned {
  /** Share of the run's duration. */
  at: number;
  what: string;
  run: (tools: Tools) => Promise<unknown>;
}

interface Tools {
  fleet: Fleet;
  control: Control;
  redis: Redis;
  poison: string[];
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

function plan(seed: number, markets: readonly string[], durationS: number): Planned[] {
  const random = generator(seed);
  const market = (): string => markets[Math.floor(random() * markets.length)] ?? markets[0]!;
  const span = Math.max(500, durationS * 60);
  const order = (at: number, fault: FaultOrder): Planned => ({
    at,
    what: `${fault.kind} at ${fault.market_id}`,
    run: ({ control }: Tools) => control.fault(fault),
  });
  return [
    order(0.08, { kind: 'duplicate', market_id: market(), probability: 0.2, duration_ms: 3 * span }),
    order(0.12, { kind: 'garbage', market_id: market(), probability: 0.3, count: 5 }),
    order(0.17, { kind: 'reorder', market_id: market(), probability: 0.3, duration_ms: 2 * span, factor: 5 }),
    order(0.22, { kind: 'gap', market_id: market(), count: 3 + Math.floor(random() * 5) }),
    order(0.27, { kind: 'cut', market_id: market(), count: 1 }),
    { at: 0.32, what: `${POISON.length} poison entries into the stream`, run: injectPoison },
    { at: 0.37, what: 'kill -9 of a distributor', run: ({ fleet }: Tools) => kill(fleet.distributors.at(-1)) },
    order(0.42, { kind: 'silence', market_id: market(), duration_ms: span }),
    { at: 0.47, what: 'kill -9 of the receiver', run: ({ fleet }: Tools) => kill(fleet.receiver) },
    {
      at: 0.57,
      what: 'immediate restart of PostgreSQL',
      run: ({ fleet }: Tools) => fleet.postgres.restart('immediate'),
    },
    { at: 0.61, what: 'kill -9 of the backfill', run: ({ fleet }: Tools) => kill(fleet.healers.find(({ name }) => name === 'backfill')) },
    { at: 0.63, what: 'kill -9 of the governor', run: ({ fleet }: Tools) => kill(fleet.healers.find(({ name }) => name === 'governor')) },
    order(0.65, { kind: 'burst', market_id: market(), factor: 5, duration_ms: span }),
  ].map((planned) => ({ ...planned, at: planned.at + (random() - 0.5) * 0.02 }));
}

function kill(victim: Supervised | undefined): Promise<void> {
  victim?.kill();
  return Promise.resolve();
}

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
  readonly #tools: Tools;

  constructor(fleet: Fleet, control: Control, redis: Redis) {
    this.#tools = { fleet, control, redis, poison: this.poison };
  }

  /** Plays the schedule over `durationS` seconds, heals at three quarters, and resolves then. Never rejects. */
  async play(durationS: number, markets: readonly string[], signal: AbortSignal): Promise<void> {
    const planned = plan(this.#tools.fleet.options.seed, markets, durationS);
    planned.push({ at: HEAL_AT, what: 'all faults healed', run: ({ control }) => control.heal() });
    let passed = 0;
    for (const { at, what, run } of planned.sort((a, b) => a.at - b.at)) {
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
