import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemStateKey, systemStateMetaKey, systemStateSimpleKey, systemStateValues, type SystemState } from '../contracts/index.ts';
import { ownRedis } from '../testing/servers.ts';
import type { LocalRedis } from '../scripts/local/redis.ts';
import { changeState, peekState, readState, type StateOutcome } from './state.ts';

let server: LocalRedis;
let redis: Redis;
const both = ['alpha', 'beta'];
const move = (exchange: string, expected: SystemState | null | '*', to: SystemState, epoch = 1): Promise<StateOutcome> =>
  changeState(redis, { exchange, expected, to, epoch, atMicros: 1_790_000_000_000_000, by: 'test', reason: 'because' }, both);

beforeAll(async () => {
  server = await ownRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  await redis.quit();
  await server.remove();
});
beforeEach(() => redis.flushall());

describe('state machine', () => {
  it('walks a bootstrap and keeps state, meta and aggregate together', async () => {
    expect(await move('alpha', null, 'BOOTSTRAPPING')).toEqual({ ok: true, from: null, to: 'BOOTSTRAPPING', ver: 1, epoch: 1 });
    expect(await redis.get(systemStateSimpleKey)).toBe('LOCKED'); // beta has no state yet: counts as LOCKED
    await move('beta', null, 'BOOTSTRAPPING');
    expect(await redis.get(systemStateSimpleKey)).toBe('BOOTSTRAPPING');
    for (const exchange of both) {
      await move(exchange, 'BOOTSTRAPPING', 'RECONCILING');
      await move(exchange, 'RECONCILING', 'HEALTHY');
    }
    expect(await redis.get(systemStateSimpleKey)).toBe('HEALTHY');
    const { state, meta } = await peekState(redis, 'alpha');
    expect([state, meta]).toEqual(['HEALTHY', { ver: '3', epoch: '1', at: '1790000000000000', by: 'test', reason: 'because', state: 'HEALTHY' }]);
  });

  it('refuses what another has changed, an older epoch, and an edge that does not exist', async () => {
    await move('alpha', null, 'BOOTSTRAPPING', 5);
    expect(await move('alpha', 'RECONCILING', 'HEALTHY', 5)).toMatchObject({ ok: false, why: 'STALE', actual: 'BOOTSTRAPPING' });
    expect(await move('alpha', 'BOOTSTRAPPING', 'RECONCILING', 4)).toMatchObject({ ok: false, why: 'FENCED', epoch: 5 });
    expect(await move('alpha', 'BOOTSTRAPPING', 'HEALTHY', 5)).toMatchObject({ ok: false, why: 'ILLEGAL' });
    expect(await redis.get(systemStateKey('alpha'))).toBe('BOOTSTRAPPING');
    expect(await redis.hget(systemStateMetaKey('alpha'), 'ver')).toBe('1');
  });

  it('lets one of many racers through', async () => {
    await move('alpha', null, 'BOOTSTRAPPING');
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => move('alpha', 'BOOTSTRAPPING', 'RECONCILING')));
    expect(outcomes.filter((o) => o.ok)).toHaveLength(1);
  });

  it('obeys a hand-written LOCKED and takes anything unreadable for it', async () => {
    await redis.set(systemStateKey('alpha'), 'LOCKED');
    expect(await readState(redis, 'alpha')).toBe('LOCKED');
    await redis.set(systemStateKey('alpha'), 'healthy');
    expect(await readState(redis, 'alpha')).toBe('LOCKED');
    expect(await readState(redis, 'nobody')).toBe('LOCKED');
    expect(await move('alpha', '*', 'HEALTHY')).toMatchObject({ ok: false, why: 'ILLEGAL' });
  });

  it('works when Redis is full', async () => {
    await move('alpha', null, 'BOOTSTRAPPING');
    await redis.config('SET', 'maxmemory', '1');
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await expect(redis.set('x', 'y')).rejects.toThrow(/OOM/);
    expect(await move('alpha', 'BOOTSTRAPPING', 'LOCKED')).toMatchObject({ ok: true, to: 'LOCKED' });
    await redis.config('SET', 'maxmemory', '0');
  });

  it('reaches no state by an edge that the design does not draw', async () => {
    const legal: Record<string, SystemState[]> = {
      '': ['BOOTSTRAPPING'],
      BOOTSTRAPPING: ['BOOTSTRAPPING', 'RECONCILING', 'LOCKED'],
      RECONCILING: ['HEALTHY', 'LOCKED', 'BOOTSTRAPPING'],
      HEALTHY: ['AUDITING', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
      AUDITING: ['HEALTHY', 'RECONCILING', 'LOCKED', 'BOOTSTRAPPING'],
      LOCKED: ['RECONCILING', 'HEALTHY', 'BOOTSTRAPPING', 'LOCKED'],
    };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...systemStateValues), { maxLength: 12 }), async (wishes) => {
        await redis.flushall();
        let state = '';
        let ver = 0;
        for (const to of wishes) {
          const outcome = await move('alpha', '*', to);
          expect(outcome.ok).toBe(legal[state]!.includes(to));
          if (outcome.ok) [state, ver] = [to, ver + 1];
          expect(outcome.ver).toBe(ver);
        }
        expect(await redis.get(systemStateKey('alpha'))).toBe(state === '' ? null : state);
      }),
      { numRuns: 40 },
    );
  });
});
