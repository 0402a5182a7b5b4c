// The analyzer: stream:market_data → system events, each once. One leads, others stand by: its state needs the whole stream in order.
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { joinFleet } from '../../bus/fleet.ts';
import { becomeLeader } from '../../bus/leader.ts';
import { streamMarketDataKey } from '../../contracts/index.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { analyze } from './analyze.ts';
import { readRules } from './rules_file.ts';

const GROUP = 'analyzer';

/** Runs until ctx.signal aborts, then settles what is in hand. Rejects when the rules file is not right. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random } = ctx;
  const rules = readRules(config.analyzer.rulesFile);
  for (const part of ['redis', 'stream']) health.set(part, false, 'starting');
  const connect = (url: string, name: string) => scope.own(connectRedis(url, { name, log, random, signal: ctx.signal }), closeRedis);
  const redis = connect(config.redisUrl, GROUP);
  const streamRedis = connect(config.streamRedisUrl, `${GROUP}-stream`);
  const pool = scope.own(createPool(config.databaseUrl, { name: GROUP, log, max: 1, signal: ctx.signal }), closePool);

  await joinFleet(ctx, redis);
  await becomeLeader(ctx, redis, (leader) => {
    for (const part of ['redis', 'stream']) health.set(part, true, `standing by for ${leader}`);
  });
  const url = config.streamRedisUrl;
  const consumer = { url, stream: streamMarketDataKey, group: GROUP, consumer: GROUP, count: 1_000, claimIdleMs: config.claimIdleMs, clock, random };
  await analyze(ctx, rules, { pool, redis, streamRedis, consumer });
}
