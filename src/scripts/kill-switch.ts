// `npm run kill-switch -- on|off|status --reason TEXT`: the emergency stop, from a terminal. `on` writes KILL_FILE and raises the flag in
// the database; either is enough, and one that cannot be reached keeps the other from nothing. docs/executor.md
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { insertOperatorAction } from '../store/state_log.ts';
import { PgTradingStore } from '../store/trading/store.ts';

const USAGE = 'usage: npm run kill-switch -- on|off --reason TEXT, or status';
const DATABASE_MS = 5_000;
const ALONE = 'nothing is sent any more, by this one alone; everything is being cancelled';

interface Options {
  action: 'on' | 'off' | 'status';
  reason: string;
}

const out = (line: string): void => void process.stdout.write(`${line}\n`);

function readOptions(argv: string[]): Options {
  try {
    const { values, positionals } = parseArgs({ args: argv, allowPositionals: true, options: { reason: { type: 'string' } } });
    const [action, extra] = positionals;
    if (action !== 'on' && action !== 'off' && action !== 'status') throw new UsageError(`${JSON.stringify(action ?? '')} is not one of on, off, status`);
    if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
    const reason = values.reason?.trim() ?? '';
    if (action !== 'status' && reason === '') throw new UsageError(`${action} needs a --reason, which goes on record`);
    return { action, reason };
  } catch (error) {
    throw new UsageError(`kill-switch: ${toError(error).message}; ${USAGE}`);
  }
}

/** One of the two holds; false: it could not be changed. */
async function attempt(what: string, work: () => void | Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    out(`${what}: FAILED: ${toError(error).message}`);
    return false;
  }
}

function setFile(file: string, on: boolean, by: string, reason: string): void {
  if (on) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${by}: ${reason}\n`);
  } else rmSync(file, { force: true });
  out(`file ${file}: ${on ? 'written' : 'removed'}`);
}

async function setFlag(pool: Pool, on: boolean, by: string, reason: string): Promise<void> {
  const value = on ? 'on' : 'off';
  await new PgTradingStore(pool).setFlag('kill_switch', value, by, reason, systemClock().nowMicros());
  out(`trading_flags.kill_switch: ${value}`);
  await insertOperatorAction(pool, { actor: by, action: `kill-switch ${value}`, target: 'executor', reason });
}

/** Exit code 0: as wanted; 1: not everywhere. */
async function change(config: Config, pool: Pool, { action, reason }: Options): Promise<number> {
  const by = `operator ${userInfo().username}`;
  const on = action === 'on';
  // The file first: it holds even where the flag would be raised again by an executor that sees it.
  const file = await attempt('file', () => setFile(config.trading.killFile, on, by, reason));
  const flag = await attempt('flag', () => setFlag(pool, on, by, reason));
  if (on && (file || flag)) out(file && flag ? 'nothing is sent any more; everything is being cancelled' : ALONE);
  return file && flag ? 0 : 1;
}

async function status(config: Config, pool: Pool): Promise<number> {
  const { killFile } = config.trading;
  const file = existsSync(killFile);
  out(`file ${killFile}: ${file ? `there: ${readFileSync(killFile, 'utf8').trim()}` : 'not there'}`);
  const seen = { flag: null as string | null };
  const known = await attempt('flag', async () => {
    seen.flag = await new PgTradingStore(pool).flag('kill_switch');
    out(`trading_flags.kill_switch: ${seen.flag ?? 'never set'}`);
  });
  out(`the kill switch is ${file || seen.flag === 'on' ? 'ON' : known ? 'off' : 'not known'}`);
  return known ? 0 : 1;
}

async function main(argv: string[]): Promise<number> {
  const options = readOptions(argv);
  const config = loadConfig(MARKETS);
  const pool = createPool(config.databaseUrl, { name: 'operator', log: { warn: () => undefined }, max: 1 });
  const late = setTimeout(() => {
    out(`flag: FAILED: no answer in ${DATABASE_MS / 1000} s from ${new URL(config.databaseUrl).host}`);
    // What the file says holds without it.
    if (existsSync(config.trading.killFile)) out(options.action === 'on' ? ALONE : 'the kill switch is ON');
    process.exit(1);
  }, DATABASE_MS);
  try {
    return options.action === 'status' ? await status(config, pool) : await change(config, pool, options);
  } finally {
    clearTimeout(late);
    await pool.end().catch(() => undefined);
  }
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
