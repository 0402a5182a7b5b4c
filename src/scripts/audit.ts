// `npm run audit -- <exchange>`: asks the governor to compare what is stored with what the exchange says, waits, and prints what it
// found. Exit code 0 nothing is left open, 1 something is, or no answer came; 2 bad usage.
import { setTimeout as sleep } from 'node:timers/promises';
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import { requestAudit } from '../bus/audits.ts';
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { findEndedAudit, loadFindings, type EndedAudit, type StoredFinding } from '../store/audits.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { migrationStatus } from '../store/migrate.ts';

const USAGE = `usage: npm run audit -- <exchange> [--hours N] [--wait SECONDS] [--reason TEXT] [--json]
       --hours: how far back, 1 to 744 (AUDIT_HOURS unless said); --wait: for the answer, 0 to 86400 (900 unless said)`;
const OPTIONS = {
  hours: { type: 'string' }, wait: { type: 'string' }, reason: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;
const POLL_MS = 200;
const silent = { info: () => undefined, warn: () => undefined };

interface Options {
  exchange: string;
  hours: number;
  waitS: number;
  reason: string;
  json: boolean;
}

const out = (line: string): void => void process.stdout.write(`${line}\n`);

/** The usage text when help was asked for. Throws UsageError with one line on anything that is not right. */
function readOptions(argv: readonly string[], config: Config): Options | string {
  const { values, positionals } = parse(argv);
  if (values.help === true) return USAGE;
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  const [exchange, extra] = positionals;
  if (exchange === undefined) throw new UsageError(`which exchange? one of ${exchanges.join(', ')}`);
  if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
  if (!exchanges.includes(exchange)) throw new UsageError(`exchange: ${JSON.stringify(exchange)} is not one of ${exchanges.join(', ')}`);
  return {
    exchange, json: values.json === true, reason: values.reason?.trim() || 'asked by command',
    hours: values.hours === undefined ? config.audit.hours : whole('--hours', values.hours, 1, 744),
    waitS: values.wait === undefined ? 900 : whole('--wait', values.wait, 0, 86_400),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError(toError(error).message.split('. ')[0]);
  }
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new UsageError(`${name}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
  }
  return value;
}

async function audit(pool: Pool, config: Config, { exchange, hours, waitS, reason, json }: Options): Promise<number> {
  const { pending } = await migrationStatus(pool).catch((error: unknown) => {
    throw new Error(`PostgreSQL does not answer: ${toError(error).message}`, { cause: error });
  });
  if (pending.length > 0) throw new Error(`the database lacks ${pending.join(', ')}: npm run migrate -- up`);
  const askedAt = systemClock().nowMicros();
  const asked = await ask(config, { exchange, hours, by: `operator ${userInfo().username}`, reason }, askedAt);
  const note = asked ? `an audit of ${exchange} over ${hours} hours is asked for` : `an audit of ${exchange} is asked for already: its answer comes first`;
  process.stderr.write(`${note}\n`);
  // Of one that was asked for before, by whomever, the next answer counts.
  const ended = await answer(pool, exchange, asked ? askedAt : null, askedAt, waitS);
  if (ended === null) throw new Error(`no answer in ${waitS} s: is a governor running? npm start -- governor`);
  const findings = await loadFindings(pool, ended.runId);
  if (json) out(JSON.stringify({ exchange, ...ended, findings }, null, 2));
  else print(exchange, ended, findings);
  const open = findings.some(({ resolution }) => resolution === 'queued' || resolution === 'unexplained');
  return open || ended.verdict === 'failed' ? 1 : 0;
}

async function ask(config: Config, question: Parameters<typeof requestAudit>[1], nowMicros: number): Promise<boolean> {
  const redis = connectRedis(config.redisUrl, { name: 'audit', log: silent });
  try {
    return await Promise.race([
      requestAudit(redis, question, nowMicros),
      sleep(10_000).then(() => Promise.reject(new Error(`Redis does not answer at ${new URL(config.redisUrl).host}`))),
    ]);
  } finally {
    await closeRedis(redis);
  }
}

async function answer(pool: Pool, exchange: string, askedAt: number | null, since: number, waitS: number): Promise<EndedAudit | null> {
  const clock = systemClock();
  const deadline = clock.monotonicMs() + waitS * 1_000;
  for (;;) {
    const ended = await findEndedAudit(pool, exchange, askedAt, since);
    if (ended !== null || clock.monotonicMs() >= deadline) return ended;
    await sleep(POLL_MS);
  }
}

function print(exchange: string, { runId, verdict, detail, since, until }: EndedAudit, findings: readonly StoredFinding[]): void {
  out(`audit ${runId} of ${exchange}, ${since.slice(0, 16)}Z to ${until.slice(0, 16)}Z: ${verdict}`);
  out(detail);
  for (const { resolution, kind, marketId, symbol, candle, openTs, fromSeq, toSeq, ours, theirs, detail: why } of findings) {
    const place = openTs === null ? `${fromSeq}..${toSeq}` : candle === null ? openTs : `${candle} ${openTs}`;
    const sides = ours === null && theirs === null ? '' : `  ours ${fields(ours)}  theirs ${fields(theirs)}`;
    out(`${resolution.padEnd(11)}  ${kind.padEnd(14)}  ${marketId} ${symbol} ${place}${sides}  (${why})`);
  }
}

const fields = (values: StoredFinding['ours']): string =>
  values === null ? 'none' : Object.entries(values).map(([name, value]) => `${name}=${value}`).join(' ');

async function main(argv: readonly string[]): Promise<number> {
  const config = loadConfig(MARKETS);
  const options = readOptions(argv, config);
  if (typeof options === 'string') {
    out(options);
    return 0;
  }
  const pool = createPool(config.databaseUrl, { name: 'audit', log: silent, max: 1 });
  try {
    return await audit(pool, config, options);
  } finally {
    await pool.end().catch(() => undefined);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`audit: ${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
