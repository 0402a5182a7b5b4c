// Membership of the fleet: which instance number this process is, and that it is alive.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { heartbeatKey, slotKey } from '../contracts/index.ts';
import { Backoff } from '../core/backoff.ts';
import { classify, toError } from '../core/errors.ts';
import type { ServiceContext } from '../runtime/service.ts';
import { whenReady } from './connect.ts';
import { loadScript, runScript } from './script.ts';

const leaseScript = loadScript('slot_lease');
const heartbeatScript = loadScript('heartbeat');

const TTL_MS = 10_000;
const RENEW_MS = 3_000;
const MAX_SLOTS = 256;
const RETRY = { baseMs: 50, maxMs: 2_000 };
/** Waiting gives no rights. */
const REFUSED = /^(NOPERM|NOAUTH|WRONGPASS)/;

/**
 * Gives this process its instance id (INSTANCE_ID, else the lowest free slot `1`, `2`, …) and keeps its lease and its
 * heartbeat alive until the scope closes. The slot of a dead process on this host is taken over at once, so that a
 * restarted one finds its own pending entries; elsewhere a lease ends after ten seconds. Waits for a Redis that does not answer; rejects
 * when it refuses us, and when the process is to stop.
 */
export async function joinFleet(ctx: ServiceContext, redis: Redis, describe: () => Record<string, unknown> = () => ({})): Promise<string> {
  const holder = `${hostname()}:${process.pid}:${randomUUID()}`;
  const instance = ctx.config.instanceId ?? (await answered(ctx, redis, () => firstFreeSlot(redis, ctx.service, holder)));
  const startedAt = ctx.clock.nowMicros();
  const beat = async (): Promise<void> => {
    const state = { pid: process.pid, host: hostname(), started_at: startedAt, at: ctx.clock.nowMicros(), ...describe() };
    await runScript(redis, heartbeatScript, [heartbeatKey(ctx.service, instance)], [JSON.stringify(state), TTL_MS]);
    if (ctx.config.instanceId !== null) return;
    const owner = await runScript(redis, leaseScript, [slotKey(ctx.service, instance)], [holder, TTL_MS, '']);
    // Two processes under one consumer name would steal each other's pending entries.
    if (owner !== holder) ctx.fail(new Error(`instance slot ${ctx.service}:${instance} was lost to ${String(owner)}`));
  };
  await answered(ctx, redis, beat);
  const timer = setInterval(() => {
    // What is asked while Redis is away would pile up in the client, and be asked all at once when it is back.
    if (redis.status !== 'ready') return;
    beat().catch((error: unknown) => ctx.log.debug({ err: toError(error) }, 'heartbeat failed'));
  }, RENEW_MS);
  ctx.scope.own(timer, async (t) => {
    clearInterval(t);
    const key = slotKey(ctx.service, instance);
    await Promise.all([redis.del(heartbeatKey(ctx.service, instance)), runScript(redis, leaseScript, [key], [holder, 0, ''])]).catch(() => []);
  });
  return instance;
}

/** Repeats until Redis answers. */
async function answered<T>({ log, random, signal }: ServiceContext, redis: Redis, work: () => Promise<T>): Promise<T> {
  const backoff = new Backoff({ ...RETRY, random });
  for (;;) {
    try {
      await whenReady(redis, signal);
      return await work();
    } catch (error) {
      const failure = toError(error);
      if (signal.aborted || REFUSED.test(failure.message) || classify(failure) !== 'infrastructure') throw failure;
      if (backoff.attempts === 0) log.warn({ reason: failure.message }, 'redis does not answer, waiting to join the fleet');
      await sleep(backoff.next(), undefined, { signal });
    }
  }
}

async function firstFreeSlot(redis: Redis, service: string, holder: string): Promise<string> {
  for (let slot = 1; slot <= MAX_SLOTS; slot++) {
    const key = slotKey(service, String(slot));
    const lease = (over: string): Promise<unknown> => runScript(redis, leaseScript, [key], [holder, TTL_MS, over]);
    const owner = String(await lease(''));
    if (owner === holder) return String(slot);
    if (isDeadHere(owner) && (await lease(owner)) === holder) return String(slot);
  }
  throw new Error(`no free instance slot for ${service} below ${MAX_SLOTS}`);
}

/** Whether a holder lived on this host and is gone. A container that restarts keeps its host name, and its pid 1 is us. */
export function isDeadHere(holder: string): boolean {
  const [host, pidText] = holder.split(':');
  const pid = Number(pidText);
  if (host !== hostname() || !Number.isInteger(pid)) return false;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === 'ESRCH';
  }
}
