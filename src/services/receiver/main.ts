// receiver: exchange WebSocket → stream:market_data. One process serves all configured markets.
import { closeRedis, connectRedis, whenReady } from '../../bus/connect.ts';
import { EventSink } from '../../bus/events.ts';
import { joinFleet } from '../../bus/fleet.ts';
import { listen } from '../../bus/pubsub.ts';
import { controlSubscriptionsKey } from '../../contracts/index.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import { untilStopped, type ServiceContext } from '../../runtime/service.ts';
import { openCapture } from './capture/open.ts';
import { MarketReceiver } from './market.ts';
import { receiverMetrics } from './metrics.ts';

const EVENTS_DEADLINE_MS = 2_000;

export async function start(ctx: ServiceContext): Promise<void> {
  const { scope, config, log, clock, random } = ctx;
  // Ready means that every market is: one that has not told yet must not be missing from the list.
  for (const { marketId } of config.markets) ctx.health.set(`feed ${marketId}`, false, 'starting');
  const connect = (name: string, url: string, blocking = false): ReturnType<typeof connectRedis> =>
    scope.own(connectRedis(url, { name: `receiver-${name}`, log, blocking, random, signal: ctx.signal }), closeRedis);
  const redis = connect('commands', config.redisUrl);
  const stream = connect('stream', config.streamRedisUrl);
  const pubsub = connect('control', config.redisUrl, true);
  await Promise.all([whenReady(redis, ctx.signal), whenReady(stream, ctx.signal)]);

  const instanceId = await joinFleet(ctx, redis);
  const source = `receiver-${instanceId}-${clock.nowMicros()}`;
  const events = new EventSink(redis, { source, nowMicros: () => clock.nowMicros(), random, log });
  scope.own(events, (sink) => sink.close(EVENTS_DEADLINE_MS));
  const metrics = receiverMetrics(ctx.metrics);
  const tapOf = openCapture(ctx, instanceId, events);

  const startMarket = async (market: MarketConfig): Promise<MarketReceiver> => {
    const venue = MARKETS[market.marketId];
    if (venue === undefined) throw new Error(`unknown market ${market.marketId}`);
    return MarketReceiver.start({ ctx, config: market, market: venue, stream, redis, events, metrics, instanceId, tap: tapOf(market.marketId) });
  };
  const markets = await Promise.all(config.markets.map(startMarket));
  scope.own(markets, async (all) => {
    await Promise.all(all.map((market) => market.close()));
  });

  listen(
    pubsub,
    new Map(
      markets.map((market) => [
        controlSubscriptionsKey(market.marketId),
        (text: string) => market.control.receive(text),
      ]),
    ),
    log,
  );
  events.emit({ type: 'service.started', severity: 'info', data: { service: 'receiver', instance: instanceId } });
  await untilStopped(ctx.signal);
  events.emit({ type: 'service.stopped', severity: 'info', data: { service: 'receiver', instance: instanceId } });
}
