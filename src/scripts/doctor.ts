// `npm run doctor [-- --json]`: what is wrong with this installation, and what to do about it. Exit code 1 when a row fails.
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { UsageError, toError } from '../core/errors.ts';
import { fail, type Finding } from '../core/finding.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { createPool } from '../store/connect.ts';
import { clockFinding, deadLetterFinding, feedFindings, stateFinding, streamFinding } from './doctor/feeds.ts';
import { examine } from './doctor/finding.ts';
import { ladderFinding, nodeVersion, postgresFindings, redisFindings } from './doctor/servers.ts';

const silent = { info: () => undefined, warn: () => undefined };

/** The host of a URL, without user and password. */
const hostOf = (url: string): string => new URL(url).host;

async function findings(config: Config): Promise<Finding[]> {
  const clock = systemClock();
  const redis = connectRedis(config.redisUrl, { name: 'doctor', log: silent });
  const stream = config.streamRedisUrl === config.redisUrl ? redis : connectRedis(config.streamRedisUrl, { name: 'doctor', log: silent });
  const pool = createPool(config.databaseUrl, { name: 'doctor', log: silent, max: 2 });
  try {
    const startRedis = `start Redis or correct REDIS_URL (${hostOf(config.redisUrl)})`;
    const startStream = stream === redis ? startRedis : `start Redis or correct STREAM_REDIS_URL (${hostOf(config.streamRedisUrl)})`;
    const [reachable, database, clocks] = await Promise.all([
      examine('redis', startRedis, () => redisFindings(redis)),
      examine('postgres', `start PostgreSQL or correct DATABASE_URL (${hostOf(config.databaseUrl)})`, () => postgresFindings(pool, clock)),
      Promise.all(config.markets.map((market) =>
        examine(`clock ${market.marketId}`, `is ${market.restUrl} reachable from here?`, () => clockFinding(market, clock)))),
    ]);
    const found = [nodeVersion(process.version), ...reachable, ...database, ...clocks.flat()];
    if (reachable[0]?.level === 'fail') return found;
    const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
    const rest = await Promise.all([
      examine('memory ladder', startRedis, () => ladderFinding(redis, clock)),
      ...exchanges.map((exchange) => examine(`state ${exchange}`, startRedis, () => stateFinding(redis, exchange))),
      examine('feeds', startStream, () => feedFindings(redis, stream, config.markets, clock)),
      examine('stream', startStream, () => streamFinding(stream)),
      examine('dead letters', startStream, () => deadLetterFinding(stream)),
    ]);
    return [...found, ...rest.flat()];
  } finally {
    await Promise.all([closeRedis(redis), stream === redis ? null : closeRedis(stream), pool.end().catch(() => undefined)]);
  }
}

function show(found: readonly Finding[]): void {
  const width = Math.max(...found.map(({ name }) => name.length));
  const marks = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' };
  for (const { name, level, detail, remedy } of found) {
    process.stdout.write(`${marks[level]}  ${name.padEnd(width)}  ${detail}\n`);
    if (remedy !== undefined) process.stdout.write(`      ${' '.repeat(width)}  → ${remedy}\n`);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== '--json');
  if (unknown !== undefined) throw new UsageError(`doctor: unexpected argument ${JSON.stringify(unknown)}; usage: npm run doctor [-- --json]`);
  const found = await findings(loadConfig(MARKETS)).catch((error: unknown) => {
    if (error instanceof UsageError) throw error;
    return [fail('doctor', toError(error).message, 'this is a bug in doctor')];
  });
  const bad = found.some(({ level }) => level === 'fail');
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify({ ok: !bad, findings: found }, null, 2)}\n`);
  else show(found);
  return bad ? 1 : 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
