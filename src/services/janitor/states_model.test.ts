// The state machine against a model: several actors with epochs and versions of their own, an operator with redis-cli, a Redis that is
// emptied, and two governors at once. Everything runs in the real Redis; the model says what must come of it.
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { changeState, peekState, seedVersion, type StateOutcome } from '../../bus/state.ts';
import { systemStateKey, systemStateSimpleKey, systemStateValues, type SystemState } from '../../contracts/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { LocalRedis } from '../../scripts/local/redis.ts';
import type { Pool } from '../../store/connect.ts';
import { ownRedis } from '../../testing/servers.ts';
import { StateWatch } from './watch.ts';

const EXCHANGES = ['alpha', 'beta'];
const ACTORS = 3;
const RANK: readonly string[] = ['HEALTHY', 'AUDITING', 'RECONCILING', 'BOOTSTRAPPING', 'LOCKED'];
/** As the design draws it. */
const EDGES: Record<string, readonly string[]> = {
  BOOTSTRAPPING: ['BOOTSTRAPPING', 'RECONCILING', 'LOCKED'],
  RECONCILING: ['HEALTHY', 'LOCKED', 'BOOTSTRAPPING'],
  HEALTHY: ['AUDITING', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
  AUDITING: ['HEALTHY', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
  LOCKED: ['RECONCILING', 'HEALTHY', 'BOOTSTRAPPING', 'LOCKED'],
};
/** null: no state at all. What nobody can read, an empty text too, leads to a lock or a new bootstrap only. */
const edgesFrom = (from: string | null): readonly string[] => (from === null ? ['BOOTSTRAPPING'] : EDGES[from] ?? ['LOCKED', 'BOOTSTRAPPING']);

type Step =
  | { do: 'move'; actor: number; exchange: string; expected: SystemState | null | '*' | 'seen'; to: SystemState; ver: 'seen' | 'any' }
  | { do: 'race'; exchange: string; to: SystemState }
  | { do: 'look'; actor: number; exchange: string }
  | { do: 'take over'; actor: number; exchange: string }
  | { do: 'write'; exchange: string; text: string | null }
  | { do: 'flush' }
  | { do: 'govern' };

const exchange = fc.constantFrom(...EXCHANGES);
const actor = fc.nat({ max: ACTORS - 1 });
const state = fc.constantFrom(...systemStateValues);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('move' as const), actor, exchange, to: state, ver: fc.constantFrom('seen' as const, 'any' as const),
      expected: fc.oneof(fc.constant('*' as const), fc.constant('seen' as const), fc.option(state)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const), actor, exchange }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('race' as const), exchange, to: state }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('take over' as const), actor, exchange }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('write' as const), exchange, text: fc.oneof(state, fc.constantFrom('healthy', '', 'GREAT'), fc.constant(null)) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'govern' as const }) },
);

interface Change {
  from: string | null;
  to: string;
  ver: number;
  epoch: number;
}

/** What must be in Redis, and everything that ever changed. */
class Model {
  readonly state = new Map<string, string>();
  /** What the meta says of the state: another one was written by hand. */
  readonly told = new Map<string, string>();
  readonly log = new Map<string, Change[]>(EXCHANGES.map((name) => [name, []]));
  simple: string | null = null;

  ver = (name: string): number => this.log.get(name)!.at(-1)?.ver ?? 0;
  epoch = (name: string): number => this.log.get(name)!.at(-1)?.epoch ?? 0;

  changed(name: string, to: string, ver: number, epoch: number): void {
    this.log.get(name)!.push({ from: this.state.get(name) ?? null, to, ver, epoch });
    this.state.set(name, to);
    this.told.set(name, to);
    this.simple = this.worst();
  }

  worst(): string {
    const rank = (name: string): number => {
      const at = RANK.indexOf(this.state.get(name) ?? '');
      return at < 0 ? RANK.length - 1 : at;
    };
    return RANK[Math.max(...EXCHANGES.map(rank))]!;
  }
}

let server: LocalRedis;
let clients: Redis[];
beforeAll(async () => {
  server = await ownRedis();
  clients = Array.from({ length: ACTORS }, () => new Redis(server.url));
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await server.remove();
});
beforeEach(() => clients[0]!.flushall());

const clock = systemClock();

class Run {
  readonly model = new Model();
  /** What each actor believes of each exchange. */
  readonly seen = new Map<string, { state: string | null; ver: number; epoch: number }>();
  /** Rows that the governors would have put into state_log. */
  readonly rows: unknown[][] = [];
  readonly governors = clients.slice(0, 2).map((redis) => new StateWatch({
    redis, exchanges: EXCHANGES, clock, log: { warn: () => undefined },
    pool: { query: (_text: string, values: unknown[]) => Promise.resolve(this.rows.push(values)) } as unknown as Pool,
  }));

  of(who: number, name: string): { state: string | null; ver: number; epoch: number } {
    const key = `${who} ${name}`;
    const known = this.seen.get(key) ?? { state: null, ver: 0, epoch: 0 };
    this.seen.set(key, known);
    return known;
  }

  change(who: number, name: string, to: SystemState, expected: string | null, ver: number | null): Promise<StateOutcome> {
    return changeState(clients[who]!, {
      exchange: name, expected: expected as SystemState | null | '*', to, epoch: this.of(who, name).epoch, atMicros: clock.nowMicros(),
      by: `actor ${who}`, reason: 'model', ...(ver === null ? {} : { ver }),
    }, EXCHANGES);
  }

  async move({ actor: who, exchange: name, expected: wish, to, ver: given }: Step & { do: 'move' }): Promise<void> {
    const { model } = this;
    const mine = this.of(who, name);
    const expected = wish === 'seen' ? mine.state : wish;
    const outcome = await this.change(who, name, to, expected, given === 'seen' ? mine.ver : null);
    const now = model.state.get(name) ?? '';
    const why = mine.epoch < model.epoch(name) ? 'FENCED'
      : (given === 'seen' && mine.ver !== model.ver(name)) || (expected !== '*' && (expected ?? '') !== now) ? 'STALE'
      : edgesFrom(model.state.get(name) ?? null).includes(to) ? null : 'ILLEGAL';
    if (why !== null) expect(outcome).toMatchObject({ ok: false, why, ver: model.ver(name), epoch: model.epoch(name) });
    else {
      expect(outcome).toMatchObject({ ok: true, to, ver: model.ver(name) + 1, epoch: mine.epoch });
      model.changed(name, to, outcome.ver, outcome.epoch);
    }
  }

  /** All at once, each from the same sight of things: one wins, whoever it is. */
  async race({ exchange: name, to }: Step & { do: 'race' }): Promise<void> {
    for (const [who] of clients.entries()) await this.look(who, name);
    const { state: from, ver } = this.of(0, name);
    const outcomes = await Promise.all(clients.map((_client, who) => this.change(who, name, to, from ?? '*', ver)));
    const winners = outcomes.filter(({ ok }) => ok);
    expect(winners).toHaveLength(edgesFrom(from).includes(to) ? 1 : 0);
    for (const won of winners) this.model.changed(name, to, won.ver, won.epoch);
  }

  async look(who: number, name: string): Promise<void> {
    const { state: raw, meta } = await peekState(clients[who]!, name);
    Object.assign(this.of(who, name), { state: raw, ver: Number(meta['ver'] ?? 0), epoch: Number(meta['epoch'] ?? 0) });
  }

  /** Emptied, and counting goes on from the log, by both governors. */
  async flush(): Promise<void> {
    const { model } = this;
    await clients[0]!.flushall();
    model.state.clear();
    model.told.clear();
    model.simple = null;
    for (const name of EXCHANGES) {
      if (model.log.get(name)!.length === 0) continue;
      const took = await Promise.all(clients.slice(0, 2).map((redis) => seedVersion(redis, name, model.ver(name), model.epoch(name))));
      expect(took.filter(Boolean)).toHaveLength(1);
    }
  }

  /** Both look at once: what was written by hand becomes one lock, on record once, and the aggregate is true again. */
  async govern(): Promise<void> {
    const { model } = this;
    const before = this.rows.length;
    const gone = await Promise.all(this.governors.map((one) => one.look()));
    for (const names of gone) expect(names).toEqual(EXCHANGES.filter((name) => !model.state.has(name)));
    const written = EXCHANGES.filter((name) => model.state.has(name) && model.state.get(name) !== model.told.get(name));
    expect(this.rows.length - before).toBe(written.length);
    for (const name of written) model.changed(name, 'LOCKED', model.ver(name) + 1, model.epoch(name));
    if (gone[0]!.length === 0) expect(model.simple).toBe(model.worst());
  }

  async take(one: Step): Promise<void> {
    const { model } = this;
    if (one.do === 'move') await this.move(one);
    else if (one.do === 'race') await this.race(one);
    else if (one.do === 'look') await this.look(one.actor, one.exchange);
    else if (one.do === 'take over') this.of(one.actor, one.exchange).epoch = model.epoch(one.exchange) + 1;
    else if (one.do === 'flush') await this.flush();
    else if (one.do === 'govern') await this.govern();
    else if (one.text === null) {
      await clients[0]!.del(systemStateKey(one.exchange));
      model.state.delete(one.exchange);
    } else {
      await clients[0]!.set(systemStateKey(one.exchange), one.text);
      model.state.set(one.exchange, one.text);
    }
  }

  /** Redis holds what the model says. */
  async check(): Promise<void> {
    const { model } = this;
    expect(await clients[0]!.get(systemStateSimpleKey)).toBe(model.simple);
    for (const name of EXCHANGES) {
      const { state: raw, meta } = await peekState(clients[0]!, name);
      expect(raw).toBe(model.state.get(name) ?? null);
      expect([Number(meta['ver'] ?? 0), Number(meta['epoch'] ?? 0)]).toEqual([model.ver(name), model.epoch(name)]);
    }
  }
}

it('moves by legal edges only, counts each change once, and never lets an epoch fall, whoever does what', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      await clients[0]!.flushall();
      const run = new Run();
      for (const one of steps) {
        await run.take(one);
        await run.check();
      }
      for (const log of run.model.log.values()) {
        for (const [n, { from, to, ver, epoch }] of log.entries()) {
          expect(edgesFrom(from)).toContain(to);
          expect(ver).toBe(n + 1);
          expect(epoch).toBeGreaterThanOrEqual(log[n - 1]?.epoch ?? 0);
        }
      }
    }),
    { numRuns: 100 },
  );
});
