// All rows of the doctor, in the order in which they are worth reading: a clock that is wrong explains much of what follows.
import type { Redis } from 'ioredis';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { readHeartbeats } from '../../bus/heartbeats.ts';
import { countHeartbeats } from '../../bus/keyspace.ts';
import type { Clock } from '../../core/clock.ts';
import type { Finding } from '../../core/finding.ts';
import type { Config } from '../../runtime/env.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { readServerFacts, readTradingState } from '../../store/settings.ts';
import { clockFinding, deadLetterFinding, feedFindings, stateFinding, streamFinding } from './feeds.ts';
import { examine } from './finding.ts';
import { outsideAddresses, portFindings, type Port } from './ports.ts';
import { ladderFinding, nodeVersion, postgresFindings, redisFindings } from './servers.ts';
import { diskFindings, redisAclFinding, settingFindings } from './settings.ts';
import { credentialsFinding, riskFinding, secretFilesFinding, tradingFindings } from './trading.ts';
import { banFinding, budgetFinding, gapFindings, lagFinding, queueFindings, serviceFindings } from './work.ts';

const silent = { info: () => undefined, warn: () => undefined };
/** Variables whose NAME_FILE holds what nobody else may read. */
const SECRETS = /^(?:DATABASE_URL|(?:STREAM_)?REDIS_URL|SIGNAL_KEY|NOTIFY_.*_(?:URL|TOKEN)|.*_(?:PASSWORD|TOKEN|CLIENT_(?:ID|SECRET)))$/;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'postgres:': 5432, 'postgresql:': 5432, 'redis:': 6379, 'rediss:': 6379 };

interface Parts {
  config: Config;
  clock: Clock;
  redis: Redis;
  stream: Redis;
  pool: Pool;
}

/** The host of a URL, without user and password. */
const hostOf = (url: string): string => new URL(url).host;

/** Looks at everything. A server that does not answer is one failed row; what needs it is left out. */
export async function examineAll(config: Config, clock: Clock, env: Readonly<Record<string, string | undefined>>): Promise<Finding[]> {
  const redis = connectRedis(config.redisUrl, { name: 'doctor', log: silent });
  const stream = config.streamRedisUrl === config.redisUrl ? redis : connectRedis(config.streamRedisUrl, { name: 'doctor', log: silent });
  const pool = createPool(config.databaseUrl, { name: 'doctor', log: silent, max: 4 });
  const parts = { config, clock, redis, stream, pool };
  const startRedis = `start Redis or correct REDIS_URL (${hostOf(config.redisUrl)})`;
  const startPostgres = `start PostgreSQL or correct DATABASE_URL (${hostOf(config.databaseUrl)})`;
  try {
    const [clocks, redisRows, postgresRows, own] = await Promise.all([
      Promise.all(config.markets.map((market) =>
        examine(`clock ${market.marketId}`, `is ${market.restUrl} reachable from here?`, () => clockFinding(market, clock)))),
      examine('redis', startRedis, async () => [...(await redisFindings(redis)), await redisAclFinding(redis, new URL(config.redisUrl).hostname)]),
      examine('postgres', startPostgres, () => postgresFindings(pool, clock)),
      examine('ports', 'this is a bug in doctor', async () => [
        credentialsFinding(config.trading), secretFilesFinding(env, (name) => SECRETS.test(name)), riskFinding(config.trading),
        ...(await portFindings(portsOf(config), outsideAddresses())),
      ]),
    ]);
    const up = { redis: redisRows[0]?.level !== 'fail', postgres: postgresRows[0]?.level !== 'fail' };
    const migrated = up.postgres && postgresRows.every(({ name, level }) => name !== 'migrations' || level === 'ok');
    const [settings, work] = await Promise.all([
      !up.postgres ? [] : examine('postgres settings', startPostgres, () => serverRows(parts, up.redis)),
      !up.redis ? [] : workRows(parts, startRedis, migrated),
    ]);
    return [...clocks.flat(), nodeVersion(process.version), ...postgresRows, ...settings, ...redisRows, ...work, ...own];
  } finally {
    await Promise.all([closeRedis(redis), stream === redis ? null : closeRedis(stream), pool.end().catch(() => undefined)]);
  }
}

async function serverRows({ config, pool, redis }: Parts, redisUp: boolean): Promise<Finding[]> {
  const facts = await readServerFacts(config.databaseUrl);
  const hosts = { database: new URL(config.databaseUrl).hostname, redis: new URL(config.redisUrl).hostname };
  return [...settingFindings(facts), ...(redisUp ? await diskFindings(pool, redis, facts, hosts, config.capture.folder) : [])];
}

/** What flows through Redis, and what the database says of it where it has this build's tables. */
async function workRows({ config, clock, redis, stream, pool }: Parts, startRedis: string, migrated: boolean): Promise<Finding[]> {
  const startStream = stream === redis ? startRedis : `start Redis or correct STREAM_REDIS_URL (${hostOf(config.streamRedisUrl)})`;
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  const markets = config.markets.map(({ marketId }) => marketId);
  const alive = await countHeartbeats(redis).catch(() => new Map<string, number>());
  const nowMs = clock.nowMicros() / 1_000;
  const migrate = 'npm run migrate -- up, then npm run doctor';
  const rows = await Promise.all([
    examine('memory ladder', startRedis, () => ladderFinding(redis, clock)),
    ...exchanges.map((exchange) => examine(`state ${exchange}`, startRedis, () => stateFinding(redis, exchange))),
    examine('services', startRedis, () => Promise.resolve(serviceFindings(alive))),
    examine('feeds', startStream, () => feedFindings(redis, stream, config.markets, clock)),
    examine('stream', startStream, () => streamFinding(stream)),
    examine('lag', startStream, () => lagFinding(stream)),
    examine('dead letters', startStream, () => deadLetterFinding(stream)),
    migrated ? examine('gaps', migrate, () => gapFindings(pool, markets)) : [],
    examine('queues', startRedis, () => queueFindings(redis, alive)),
    ...exchanges.map((exchange) => examine(`ban ${exchange}`, startRedis, () => banFinding(redis, exchange))),
    ...markets.map((marketId) => examine(`rate budget ${marketId}`, startRedis, () => budgetFinding(redis, marketId, nowMs))),
    !migrated ? [] : examine('executor', migrate, async () => tradingFindings({
      config: config.trading, executors: await readHeartbeats(redis, 'executor'), guards: await readHeartbeats(redis, 'guard'),
      state: await readTradingState(pool),
    })),
  ]);
  return rows.flat();
}

function portsOf({ databaseUrl, redisUrl, exchangeMode, simulator, metrics }: Config): Port[] {
  const server = (name: string, text: string): Port => {
    const { protocol, hostname, port } = new URL(text);
    return { name, host: hostname, port: port === '' ? DEFAULT_PORTS[protocol] ?? 0 : Number(port), sensitive: true };
  };
  return [
    server('postgres', databaseUrl), server('redis', redisUrl),
    ...(exchangeMode === 'sim' && simulator.port !== 0 ? [{ name: 'simulator', host: simulator.host, port: simulator.port, sensitive: false }] : []),
    ...(metrics.port === null || metrics.port === 0 ? [] : [{ name: 'metrics', host: metrics.host, port: metrics.port, sensitive: false }]),
  ];
}
