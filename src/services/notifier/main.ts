// The notifier: stream:system_events → webhooks. A process of its own, so that a slow or dead receiver holds up nothing; each target has
// its own consumer group, so that one holds up no other.
import { setTimeout as sleep } from 'node:timers/promises';
import { closeRedis, connectRedis, whenReady } from '../../bus/connect.ts';
import { StreamConsumer } from '../../bus/consumer.ts';
import { joinFleet } from '../../bus/fleet.ts';
import { groupFromNow } from '../../bus/groups.ts';
import { becomeLeader } from '../../bus/leader.ts';
import { streamSystemEventsKey } from '../../contracts/index.ts';
import { untilStopped, type ServiceContext } from '../../runtime/service.ts';
import { notifierMetrics } from './metrics.ts';
import { Outbox } from './outbox.ts';
import { targetsOf } from './targets.ts';

const SERVICE = 'notifier';
const RETRY_MS = 500;

/** Runs until ctx.signal aborts; what was not told by then is told by the next one. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random, signal } = ctx;
  health.set('redis', false, 'starting');
  const redis = scope.own(connectRedis(config.redisUrl, { name: SERVICE, log, random, signal }), closeRedis);
  await joinFleet(ctx, redis);
  const targets = targetsOf(config.notify);
  if (targets.length === 0) log.warn('nobody is to be told: set NOTIFY_WEBHOOK_URL, NOTIFY_SLACK_URL, NOTIFY_DISCORD_URL or NOTIFY_TELEGRAM_TOKEN');
  // Two at once would tell everything twice.
  await becomeLeader(ctx, redis, (leader) => health.set('redis', true, `standing by for ${leader}`));
  health.set('redis', true);
  const metrics = notifierMetrics(ctx.metrics);
  const running = targets.map(async (target) => {
    const group = `${SERVICE}-${target.name}`;
    while (!signal.aborted) {
      const made = await whenReady(redis, signal).then(() => groupFromNow(redis, streamSystemEventsKey, group)).then(() => true, () => false);
      if (made) break;
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    const consumer = new StreamConsumer({
      redis, url: config.redisUrl, stream: streamSystemEventsKey, group, consumer: SERVICE, count: 100, claimIdleMs: config.claimIdleMs, clock, random,
    });
    const outbox = new Outbox({ target, config: config.notify, consumer, metrics, health, log, clock, random });
    log.info({ target: target.name, min_severity: config.notify.minSeverity }, 'telling events');
    await Promise.all([consumer.run(outbox, signal), outbox.run(signal)]);
    consumer.close();
  });
  await Promise.all([...running, untilStopped(signal)]);
}
