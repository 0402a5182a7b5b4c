// What trading is configured with. Secrets are named here and read by those who trade alone (executor, guard), when they start: a
// credential that is missing or lies open to others is no mistake that stops a fleet, it is a reason not to trade.
import { fstatSync, closeSync, openSync, readFileSync } from 'node:fs';
import { UsageError, toError } from '../core/errors.ts';
import type { TradingMode } from '../core/trading/mode.ts';
import { oneOf } from './env_values.ts';
import type { VariableName } from './variables.ts';

/** Where a market's real orders go, by the host of its REST base. */
export interface TradingHosts {
  readonly liveHost: string;
  readonly testHost: string;
}

/** Where a secret comes from: the environment itself, or a file. Both null: nowhere. */
export interface SecretSource {
  readonly value: string | null;
  readonly file: string | null;
}

export interface TradingConfig {
  /** What is wanted; whether it may be is core/trading/mode.ts's. */
  readonly mode: TradingMode;
  /** The first configured market on which the fleet can trade; null: none. */
  readonly market: { readonly marketId: string; readonly exchange: string; readonly restUrl: string; readonly wsUrl: string } & TradingHosts | null;
  readonly clientId: SecretSource;
  readonly clientSecret: SecretSource;
  readonly riskFile: string | null;
  readonly strategiesFile: string | null;
  readonly liveTrading: boolean;
  readonly liveAccount: string | null;
  readonly signalKeyFile: string | null;
  readonly killFile: string;
}

interface ConfiguredMarket {
  readonly marketId: string;
  readonly exchange: string;
  readonly restUrl: string;
  readonly wsUrl: string;
}

/** Reads the variables of trading. Throws UsageError. */
export function tradingConfig(
  markets: readonly ConfiguredMarket[], known: Readonly<Record<string, { readonly trading?: TradingHosts | undefined }>>,
  env: Readonly<Record<string, string | undefined>>, read: (name: VariableName) => string,
): TradingConfig {
  const market = markets.find(({ marketId }) => known[marketId]?.trading !== undefined);
  const hosts = market === undefined ? undefined : known[market.marketId]?.trading;
  const source = (suffix: string): SecretSource => {
    const name = market === undefined ? '' : market.marketId.toUpperCase() + suffix;
    const [value, file] = [env[name]?.trim() ?? '', env[`${name}_FILE`]?.trim() ?? ''];
    if (value !== '' && file !== '') throw new UsageError(`${name} and ${name}_FILE are both set: keep one`);
    return { value: value || null, file: file || null };
  };
  return {
    mode: oneOf('EXECUTOR_MODE', read('EXECUTOR_MODE'), ['observe', 'paper', 'test', 'live'] as const),
    market: market === undefined || hosts === undefined ? null : {
      marketId: market.marketId, exchange: market.exchange, restUrl: market.restUrl, wsUrl: market.wsUrl, liveHost: hosts.liveHost, testHost: hosts.testHost,
    },
    clientId: source('_CLIENT_ID'),
    clientSecret: source('_CLIENT_SECRET'),
    riskFile: read('RISK_FILE') || null,
    strategiesFile: read('STRATEGIES_FILE') || null,
    liveTrading: oneOf('LIVE_TRADING', read('LIVE_TRADING'), ['', '0', '1'] as const) === '1',
    liveAccount: read('LIVE_ACCOUNT') || null,
    signalKeyFile: read('SIGNAL_KEY_FILE') || null,
    killFile: read('KILL_FILE'),
  };
}

export type SecretRead = { ok: true; value: string; fromFile: boolean } | { ok: false; reason: string };

/** The secret a source leads to; `name` stands in the reason. Never throws. */
export function readSecret(name: string, source: SecretSource): SecretRead {
  if (source.value !== null) return { ok: true, value: source.value, fromFile: false };
  if (source.file === null) return { ok: false, reason: `${name} is not set` };
  return readSecretFile(`${name}_FILE`, source.file);
}

/** Reads a file that nobody but its owner, this process's user, can read. */
export function readSecretFile(name: string, path: string): SecretRead {
  let file: number | null = null;
  try {
    file = openSync(path, 'r');
    // Asked of the open file: what is checked is what is read.
    const { mode, uid } = fstatSync(file);
    const bits = mode & 0o777;
    if (bits !== 0o400 && bits !== 0o600) return { ok: false, reason: `${name}: ${path} has mode 0${bits.toString(8)}, it must be 0400 or 0600` };
    const own = process.getuid?.() ?? uid;
    if (uid !== own) return { ok: false, reason: `${name}: ${path} belongs to user ${uid}, this process is ${own}` };
    const value = readFileSync(file, 'utf8').trim();
    return value === '' ? { ok: false, reason: `${name}: ${path} is empty` } : { ok: true, value, fromFile: true };
  } catch (error) {
    return { ok: false, reason: `${name}: cannot read ${path}: ${(error as { code?: string }).code ?? toError(error).message}` };
  } finally {
    if (file !== null) closeSync(file);
  }
}
