// `npm run system-unlock -- <exchange>` and `npm run system-lock -- <exchange>`: what an operator decides (docs/runbooks/unlock.md).
// Unlocking looks at the data first, and refuses when it is bad; --force with a --reason overrules, and both are on record.
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { emitEvent } from '../bus/events.ts';
import { changeState, peekState } from '../bus/state.ts';
import type { SystemState } from '../contracts/index.ts';
import { UsageError, toError } from '../core/errors.ts';
import { fail, failures, ok, type Finding } from '../core/finding.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { dataChecks } from '../services/janitor/checks.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { insertOperatorAction, insertStateChanges } from '../store/state_log.ts';
import { listCases } from '../store/trading/lists.ts';

const TIMEOUT_MS = 15_000;
const MAX_CASES = 1_000;
const silent = { info: () => undefined, warn: () => undefined };

interface Options {
  action: 'lock' | 'unlock';
  exchange: string;
  force: boolean;
  reason: string | null;
}

interface Servers {
  redis: Redis;
  stream: Redis;
  pool: Pool;
}

const out = (line: string): void => void process.stdout.write(`${line}\n`);

function readOptions(argv: string[]): Options {
  const action = argv[0] === 'lock' ? 'lock' : 'unlock';
  const usage = `usage: npm run system-${action} -- <exchange> [--reason TEXT]${action === 'unlock' ? ' [--force]' : ''}`;
  try {
    const { values, positionals } = parseArgs({
      args: argv.slice(1), allowPositionals: true, options: { force: { type: 'boolean', default: false }, reason: { type: 'string' } },
    });
    const [exchange, extra] = positionals;
    if (exchange === undefined) throw new UsageError('which exchange?');
    if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
    if (values.force && action === 'lock') throw new UsageError('--force: a lock needs none');
    const reason = values.reason?.trim() ?? '';
    if (values.force && reason === '') throw new UsageError('--force needs a --reason, which goes on record');
    return { action, exchange, force: values.force, reason: reason === '' ? null : reason };
  } catch (error) {
    throw new UsageError(`system-${action}: ${toError(error).message}; ${usage}`);
  }
}

async function unlock(servers: Servers, options: Options, markets: Config['markets'], exchanges: readonly string[]): Promise<number> {
  const { exchange, force, reason } = options;
  const { state } = await peekState(servers.redis, exchange);
  out(`${exchange} is ${state ?? 'without a state'}`);
  const marketIds = markets.filter((market) => market.exchange === exchange).map(({ marketId }) => marketId);
  const found = await dataChecks({ ...servers, exchange, marketIds, nowMicros: systemClock().nowMicros() });
  // Another schema than this build's has been found fault with, and may have no such table.
  if (!found.some(({ name, level }) => name === 'schema' && level === 'fail')) found.push(await casesFinding(servers.pool, marketIds));
  show(found);
  const bad = failures(found);
  if (state === 'HEALTHY') {
    out('nothing to unlock');
    return 0;
  }
  if (state !== 'LOCKED' && state !== 'RECONCILING') {
    out(`refused: only LOCKED and RECONCILING can be unlocked; ${state === null ? 'run a bootstrap first: npm start -- janitor' : 'wait until that is over'}`);
    return 1;
  }
  if (bad !== '' && !force) {
    out(`refused: ${bad}`);
    out('mend that, or overrule it with --force --reason TEXT');
    return 1;
  }
  return move(servers, options, 'HEALTHY', exchanges, reason ?? 'data checked', { checks: found, forced: bad !== '' });
}

/** Books that disagree with the exchange: as long as a case is open, nothing may add risk. */
async function casesFinding(pool: Pool, marketIds: readonly string[]): Promise<Finding> {
  const ours = ({ marketId }: { marketId: string | null }): boolean => marketId === null || marketIds.includes(marketId);
  const [first, ...more] = (await listCases(pool, { limit: MAX_CASES, since: null }, false)).filter(ours);
  if (first === undefined) return ok('cases', 'none open');
  const { caseId, status, kind, symbol, decision } = first;
  const which = `${caseId} ${status}: ${decision ?? `${kind} of ${symbol ?? first.account}`}`;
  return fail('cases', `${which}${more.length === 0 ? '' : `, and ${more.length} more`}`, 'docs/runbooks/position-mismatch.md');
}

async function move(
  { redis, pool }: Servers, { action, exchange }: Options, to: SystemState, exchanges: readonly string[], reason: string, detail: unknown,
): Promise<number> {
  const { state, meta } = await peekState(redis, exchange);
  const by = `operator ${userInfo().username}`;
  const atMicros = systemClock().nowMicros();
  const epoch = Number(meta['epoch'] ?? 0);
  const outcome = await changeState(redis, { exchange, expected: '*', to, epoch, ver: Number(meta['ver'] ?? 0), atMicros, by, reason }, exchanges);
  if (!outcome.ok) {
    out(`refused: ${outcome.why === 'STALE' ? 'somebody else has just changed it' : outcome.why}; it is ${outcome.actual ?? 'without a state'} now`);
    return 1;
  }
  await insertStateChanges(pool, [{ exchange, ver: outcome.ver, epoch: outcome.epoch, from: state, to, atMicros, by, reason }]);
  await insertOperatorAction(pool, { actor: by, action: `system-${action}`, target: exchange, reason, detail });
  await emitEvent(redis, {
    event_id: `state:${exchange}:${outcome.ver}`, type: 'state.changed', severity: to === 'LOCKED' ? 'warning' : 'info', ts: atMicros,
    data: { exchange, from: state, to, ver: outcome.ver, epoch: outcome.epoch, by, reason },
  });
  out(`${exchange} is ${to}; the fleet is ${(await redis.get('system:state:simple')) ?? 'without a state'}`);
  return 0;
}

function show(found: readonly Finding[]): void {
  const width = Math.max(...found.map(({ name }) => name.length));
  const marks = { ok: 'ok  ', warn: 'WARN', fail: 'BAD ' };
  for (const { name, level, detail, remedy } of found) {
    out(`${marks[level]}  ${name.padEnd(width)}  ${detail}${remedy === undefined ? '' : `  → ${remedy}`}`);
  }
}

async function main(argv: string[]): Promise<number> {
  const options = readOptions(argv);
  const config = loadConfig(MARKETS);
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  if (!exchanges.includes(options.exchange)) throw new UsageError(`exchange: ${JSON.stringify(options.exchange)} is not one of ${exchanges.join(', ')}`);
  const redis = connectRedis(config.redisUrl, { name: 'operator', log: silent });
  const stream = config.streamRedisUrl === config.redisUrl ? redis : connectRedis(config.streamRedisUrl, { name: 'operator', log: silent });
  const pool = createPool(config.databaseUrl, { name: 'operator', log: silent, max: 2 });
  const late = setTimeout(() => {
    const asked = [config.redisUrl, config.databaseUrl].map((url) => new URL(url).host).join(' or ');
    process.stderr.write(`system-${options.action}: no answer in ${TIMEOUT_MS / 1000} s from ${asked}\n`);
    process.exit(1);
  }, TIMEOUT_MS);
  try {
    return options.action === 'unlock'
      ? await unlock({ redis, stream, pool }, options, config.markets, exchanges)
      : await move({ redis, stream, pool }, options, 'LOCKED', exchanges, options.reason ?? 'locked by an operator', {});
  } finally {
    clearTimeout(late);
    await Promise.all([closeRedis(redis), stream === redis ? null : closeRedis(stream), pool.end().catch(() => undefined)]);
  }
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
