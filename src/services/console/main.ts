// The console: a web page that shows the fleet and changes nothing. It is no member of the fleet (a heartbeat would be a write): it
// reads Redis and PostgreSQL, and serves whoever looks.
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { untilStopped, type ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { accessOf } from './access.ts';
import { loadAssets } from './assets.ts';
import { Hub } from './hub.ts';
import { Live } from './live.ts';
import { consoleMetrics } from './metrics.ts';
import { createServer } from './server.ts';
import { viewsOf } from './views/all.ts';

const NAME = 'console';

/** Runs until ctx.signal aborts. Rejects with UsageError when it could be reached from elsewhere without a token. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random, signal } = ctx;
  const access = accessOf(config.console);
  const connect = (url: string, name: string) => scope.own(connectRedis(url, { name, log, random, signal }), closeRedis);
  const redis = connect(config.redisUrl, NAME);
  const stream = connect(config.streamRedisUrl, `${NAME}-stream`);
  const pool = scope.own(createPool(config.databaseUrl, { name: NAME, log, max: 4, readOnly: true, signal }), closePool);

  const views = viewsOf({ pool, redis, stream, streamUrl: config.streamRedisUrl, clock, markets: config.markets });
  scope.own(views.trades, (trades) => trades.close());
  const metrics = consoleMetrics(ctx.metrics, { streams: () => live.clients, views: () => hub.size });
  const hub: Hub = scope.own(new Hub(views, { clock, log, metrics }), (h) => h.close());
  const live: Live = scope.own(new Live(hub, metrics), (l) => l.close());
  const server = scope.own(createServer({ access, assets: loadAssets(), hub, live, metrics }), (s) => s.close());
  const url = await server.listen({ host: config.console.host, port: config.console.port });
  health.set('listening', true, url);
  log.info({ url, token: access.needsToken }, 'the console is open');
  await untilStopped(signal);
}
