// Command line of `npm run demo` and `npm run live`.
import { closeSync, existsSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../../core/errors.ts';
import { userPath } from '../local/user_path.ts';

export interface DemoOptions {
  readonly mode: 'sim' | 'live';
  /** Seconds of traffic; null: until Ctrl-C. */
  readonly durationS: number | null;
  readonly seed: number;
  /** Where the JSON report goes; null: none. */
  readonly report: string | null;
  /** Generated trades per second over all markets; null: the simulator's default. */
  readonly rate: number | null;
  /** market → symbols; null: the markets' defaults. */
  readonly symbols: ReadonlyMap<string, readonly string[]> | null;
  readonly faults: boolean;
  readonly replay: string | null;
  readonly speed: number;
  readonly distributors: number;
  readonly dataDir: string;
}

export const USAGE = `usage: npm run demo -- [--duration SECONDS] [--seed N] [--report FILE] [--rate TRADES_PER_S]
         [--symbols market:SYMBOL,…] [--faults on|off] [--replay DIR] [--speed X] [--distributors N] [--data DIR]
       npm run live -- [--duration SECONDS] [--symbols market:SYMBOL,…] [--data DIR]`;

const OPTIONS = {
  live: { type: 'boolean' }, duration: { type: 'string' }, seed: { type: 'string' }, report: { type: 'string' },
  rate: { type: 'string' }, symbols: { type: 'string' }, faults: { type: 'string' }, replay: { type: 'string' },
  speed: { type: 'string' }, distributors: { type: 'string' }, data: { type: 'string' }, help: { type: 'boolean', short: 'h' },
} as const;

type Given = Partial<Record<Exclude<keyof typeof OPTIONS, 'live' | 'help'>, string>>;

/** Reads the command line; null when help was asked for. Throws UsageError with one line on anything that is not right. */
export function parseOptions(
  argv: readonly string[], env: Readonly<Record<string, string | undefined>>, markets: readonly string[],
): DemoOptions | null {
  const { live, help, ...given } = parse(argv);
  if (help === true) return null;
  const mode = live === true ? 'live' : 'sim';
  if (mode === 'live') {
    for (const name of ['seed', 'rate', 'faults', 'replay', 'speed'] as const) {
      if (given[name] !== undefined) throw new UsageError(`--${name} belongs to the simulator: npm run demo`);
    }
  }
  const durationS = given.duration === undefined ? null : positive('duration', given.duration, 86_400);
  const headless = durationS !== null;
  if (given.report !== undefined && !headless) throw new UsageError('--report needs --duration');
  const data = given.data ?? env['DATA_DIR'] ?? '';
  return {
    mode,
    durationS,
    seed: given.seed === undefined ? 1 : Math.trunc(positive('seed', given.seed, 2 ** 32 - 1, 0)),
    report: given.report === undefined ? null : userPath(given.report, env),
    rate: given.rate === undefined ? null : positive('rate', given.rate, 200_000),
    symbols: given.symbols === undefined ? null : symbolsByMarket(given.symbols, markets),
    faults: mode === 'sim' && onOff('faults', given.faults ?? (headless && given.replay === undefined ? 'on' : 'off')),
    replay: given.replay === undefined ? null : userPath(given.replay, env),
    speed: given.speed === undefined ? 1 : positive('speed', given.speed, 1000),
    distributors: given.distributors === undefined ? 2 : Math.trunc(positive('distributors', given.distributors, 16, 1)),
    dataDir: data === '' ? userPath(join('.data', mode === 'live' ? 'live' : 'demo'), {}) : userPath(data, env),
  };
}

/** Throws UsageError when a report could not be written there: better now than after the run. Leaves no file behind. */
export function refuseUnwritable(report: string): void {
  const existed = existsSync(report);
  try {
    closeSync(openSync(report, 'a'));
  } catch (error) {
    throw new UsageError(`--report: cannot write ${report}: ${toError(error).message}`);
  }
  if (!existed) rmSync(report);
}

/** Throws UsageError when there is no folder of recordings: better now than after the servers' start. */
export function refuseUnreadable(replay: string): void {
  try {
    readdirSync(replay);
  } catch (error) {
    throw new UsageError(`--replay: cannot read the folder ${replay}: ${toError(error).message}`);
  }
}

function parse(argv: readonly string[]): Given & { live?: boolean; help?: boolean } {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${toError(error).message.split('. ')[0]}\n${USAGE}`);
  }
}

function positive(name: string, text: string, max: number, min = 0.001): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max) {
    throw new UsageError(`--${name}: ${JSON.stringify(text)} is not a number from ${min} to ${max}`);
  }
  return value;
}

function onOff(name: string, text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new UsageError(`--${name}: ${JSON.stringify(text)} is not on or off`);
  return text === 'on';
}

function symbolsByMarket(text: string, markets: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const item of text.split(',').map((part) => part.trim()).filter((part) => part !== '')) {
    const at = item.indexOf(':');
    const market = item.slice(0, Math.max(at, 0));
    if (!markets.includes(market)) throw new UsageError(`--symbols: ${item}: expected market:SYMBOL, markets are ${markets.join(', ')}`);
    found.set(market, [...(found.get(market) ?? []), item.slice(at + 1)]);
  }
  if (found.size === 0) throw new UsageError('--symbols: empty');
  return found;
}
