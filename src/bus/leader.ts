// One at a time of a service whose work cannot be shared; the others stand by and take over within seconds.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { slotKey } from '../contracts/index.ts';
import { toError } from '../core/errors.ts';
import type { ServiceContext } from '../runtime/service.ts';
import { whenReady } from './connect.ts';
import { isDeadHere } from './fleet.ts';
import { loadScript, runScript } from './script.ts';

const leaseScript = loadScript('slot_lease');
const TTL_MS = 10_000;
const RENEW_MS = 3_000;
const ASK_MS = 500;

/**
 * Resolves when this process leads its service, and keeps it so until the scope closes. A leader that loses its lease fails: somebody
 * else has taken over meanwhile. Rejects when the process is to stop before its turn came.
 */
export async function becomeLeader(ctx: ServiceContext, redis: Redis, onWaiting: (leader: string) => void): Promise<void> {
  const key = slotKey(ctx.service, 'leader');
  const holder = `${hostname()}:${process.pid}:${randomUUID()}`;
  const lease = (ttlMs: number, over = ''): Promise<unknown> => runScript(redis, leaseScript, [key], [holder, ttlMs, over]);
  for (;;) {
    ctx.signal.throwIfAborted();
    const owner = await whenReady(redis, ctx.signal).then(() => lease(TTL_MS)).catch((error: unknown) => `nobody: ${toError(error).message}`);
    if (owner === holder) break;
    // One that died on this host does not keep us waiting for the end of its lease.
    if (isDeadHere(String(owner)) && (await lease(TTL_MS, String(owner)).catch(() => null)) === holder) break;
    onWaiting(String(owner));
    await sleep(ASK_MS, undefined, { signal: ctx.signal });
  }
  const renew = async (): Promise<void> => {
    const owner = await lease(TTL_MS);
    if (owner !== holder) ctx.fail(new Error(`the lead of ${ctx.service} was lost to ${String(owner)}`));
  };
  const timer = setInterval(() => {
    if (redis.status !== 'ready') return;
    renew().catch((error: unknown) => ctx.log.debug({ err: toError(error) }, 'lease not renewed'));
  }, RENEW_MS);
  ctx.scope.own(timer, async (t) => {
    clearInterval(t);
    await lease(0).catch(() => undefined);
  });
}
