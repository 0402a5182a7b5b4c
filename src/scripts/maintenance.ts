// `npm run maintenance -- <task> [--dry-run] [--json]`: one task of the maintenance, now.
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { createPool, pingDatabase } from '../store/connect.ts';
import { UnloggedChanges } from './maintenance/ladder_states.ts';
import { maintenanceMetrics } from './maintenance/metrics.ts';
import type { TaskContext, TaskReport } from './maintenance/task.ts';
import { TASKS, taskNamed, type TaskEntry, type TaskName } from './maintenance/tasks.ts';

const CONNECT_MS = 5_000;
const OPTIONS = { 'dry-run': { type: 'boolean', default: false }, json: { type: 'boolean', default: false } } as const;

interface Request {
  task: TaskName;
  dryRun: boolean;
  json: boolean;
}

/** Throws UsageError with one line. */
function requestOf(argv: readonly string[]): Request {
  const known = `tasks: ${Object.keys(TASKS).join(', ')}; options: ${Object.keys(OPTIONS).map((name) => `--${name}`).join(', ')}`;
  const { tokens } = parseArgs({ args: [...argv], allowPositionals: true, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(OPTIONS, token.name)) throw new UsageError(`unknown option ${JSON.stringify(token.rawName)}; ${known}`);
    if (token.value !== undefined) throw new UsageError(`${token.rawName}: ${JSON.stringify(token.value)} is not expected; ${known}`);
  }
  const { values, positionals: [name, ...rest] } = parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  const task = taskNamed(name);
  if (rest.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(rest[0])}; ${known}`);
  return { task, dryRun: values['dry-run'], json: values.json };
}

/** Connects to what the task needs, and runs it. */
async function perform({ task, dryRun }: Request, config: Config, signal: AbortSignal): Promise<TaskReport> {
  const log = pino({ level: 'silent' });
  const { run, needs }: TaskEntry = TASKS[task];
  const redis = connectRedis(config.redisUrl, { name: 'maintenance', log });
  const stream = config.streamRedisUrl === config.redisUrl ? redis : connectRedis(config.streamRedisUrl, { name: 'maintenance', log });
  const pool = createPool(config.databaseUrl, { name: 'maintenance', log, max: 4 });
  const deadline = setTimeout(() => [redis, stream].forEach((client) => client.disconnect()), CONNECT_MS);
  try {
    if (needs.includes('redis')) await Promise.all([reached('Redis', config.redisUrl, redis.ping()), reached('Redis', config.streamRedisUrl, stream.ping())]);
    clearTimeout(deadline);
    if (needs.includes('database')) await reached('PostgreSQL', config.databaseUrl, pingDatabase(pool));
    const metrics = maintenanceMetrics(createMetrics('maintenance'));
    const unlogged = new UnloggedChanges(pool, log);
    const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
    const ctx: TaskContext = {
      redis, stream, pool, clock: systemClock(), log, metrics, settings: config.maintenance, exchanges, unlogged, dryRun, signal,
    };
    const report = await run(ctx);
    await unlogged.flush();
    return report;
  } finally {
    clearTimeout(deadline);
    await Promise.all([closeRedis(redis), stream === redis ? null : closeRedis(stream), pool.end().catch(() => undefined)]);
  }
}

async function reached(what: string, url: string, answer: Promise<unknown>): Promise<void> {
  await answer.catch((error: unknown) => {
    throw new Error(`${what} at ${new URL(url).host} does not answer: ${toError(error).message}`, { cause: error });
  });
}

async function main(argv: readonly string[]): Promise<void> {
  const request = requestOf(argv);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const { lines, facts } = await perform(request, loadConfig(MARKETS), stop.signal);
  if (request.json) process.stdout.write(`${JSON.stringify({ task: request.task, dry_run: request.dryRun, ...facts }, null, 2)}\n`);
  else for (const line of lines) process.stdout.write(`${line}\n`);
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`maintenance: ${toError(error).message}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
