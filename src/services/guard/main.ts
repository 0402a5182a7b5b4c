// guard: the dead man's switch. It watches the heartbeat of the executor that leads, and when that lapses it cancels the open orders
// with our labels. It has credentials of its own and needs no database; a Redis that cannot be read is a heartbeat that is not heard.
import { closeRedis, connectRedis, whenReady } from '../../bus/connect.ts';
import { EventSink } from '../../bus/events.ts';
import { joinFleet } from '../../bus/fleet.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { untilStopped } from '../../runtime/service.ts';
import { Guard } from './guard.ts';
import { venueOf } from './venue.ts';

/** Runs until ctx.signal aborts. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, random, signal, health, clock } = ctx;
  health.set('armed', false, 'starting');
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'guard', log, random, signal }), closeRedis);
  const events = scope.own(
    new EventSink(redis, { source: `guard-${clock.nowMicros()}`, nowMicros: () => clock.nowMicros(), random, log }), (sink) => sink.close(1_000));
  const access = venueOf(ctx);
  const guard = typeof access === 'string' ? null : new Guard({ ...access, ctx, redis, events });
  if (typeof access === 'string') log.warn({ reason: access }, `not armed: ${access}`);
  // It watches from the first moment; joining the fleet waits for Redis.
  const watching = guard === null ? untilStopped(signal) : guard.run();
  await whenReady(redis, signal);
  await joinFleet(ctx, redis, () => guard?.describe() ?? { armed: false, reason: access });
  if (typeof access === 'string') health.set('armed', config.trading.mode === 'observe', access);
  await watching;
}
