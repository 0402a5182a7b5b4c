// The only reader of process.env: parses it once, at the door, into a frozen Config. A typo, an unknown market or a bad URL
// stops the start with one line that names the variable and the value. `.env.example` lists all of them (a test compares).
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { channelValues, resolutionValues, show, type Channel, type Resolution } from '../contracts/index.ts';
import { UsageError } from '../core/errors.ts';
import { isPattern } from '../core/patterns.ts';
import { closestName } from '../core/spelling.ts';
import { analyzerConfig, notifyConfig, notifySecrets, type AnalyzerConfig, type NotifyConfig } from './analyzer_env.ts';
import { consoleConfig, type ConsoleConfig } from './console_env.ts';
import { insecureOnlyNearby, list, oneOf, positive, url, whole } from './env_values.ts';
import { symbolOrPattern } from './symbol_names.ts';
import { tradingConfig, type TradingConfig, type TradingHosts } from './trading_env.ts';
import { VARIABLES, type VariableName } from './variables.ts';

export interface MarketConfig {
  readonly marketId: string;
  readonly exchange: string;
  readonly wsUrl: string;
  readonly restUrl: string;
  readonly symbols: readonly string[];
  readonly patterns: readonly string[];
  /** Names and patterns of those that stay subscribed to the last when Redis fills up. */
  readonly priority: readonly string[];
}

export interface Config {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly streamRedisUrl: string;
  readonly exchangeMode: 'live' | 'sim';
  readonly markets: readonly MarketConfig[];
  readonly channels: readonly Channel[];
  readonly resolutions: readonly Resolution[];
  readonly tickerIntervalMs: number;
  readonly tickerSampleMs: number;
  readonly claimIdleMs: number;
  readonly batchMaxRows: number;
  readonly bufferMessages: number;
  readonly capture: { readonly folder: string | null; readonly maxBytes: number };
  readonly backfillDays: number;
  readonly backfillWorkers: number;
  readonly jobLeaseMs: number;
  /** Retention of 0 days: for ever. */
  readonly maintenance: {
    readonly streamRetainMs: number;
    readonly dlqMax: number;
    readonly tradesRetentionDays: number;
    readonly tickersRetentionDays: number;
  };
  readonly audit: {
    /** How far back an audit looks. */
    readonly hours: number;
    /** 0: only when it is asked for. */
    readonly everyHours: number;
  };
  readonly unlockPolicy: 'manual' | 'auto';
  readonly trading: TradingConfig;
  readonly analyzer: AnalyzerConfig;
  readonly notify: NotifyConfig;
  readonly console: ConsoleConfig;
  readonly instanceId: string | null;
  readonly logLevel: string;
  /** port null: no server (one-shot tools). */
  readonly metrics: { readonly port: number | null; readonly host: string };
  readonly simulator: {
    readonly host: string;
    readonly port: number;
    readonly seed: number;
    readonly ledger: string | null;
    readonly replay: string | null;
    readonly speed: number;
    readonly rate: number;
    readonly faults: 'none' | 'random';
  };
  /** Values that no log line may hold. */
  readonly secrets: readonly string[];
}

/** What the configuration must know of a market; the registry of exchanges supplies it. */
export interface KnownMarket {
  readonly exchange: string;
  readonly wsUrl: string;
  readonly restUrl: string;
  readonly defaultSymbols: readonly string[];
  readonly candleResolutions: readonly Resolution[];
  /** Absent: the fleet cannot trade there. */
  readonly trading?: TradingHosts | undefined;
}

type Known = Readonly<Record<string, KnownMarket>>;
type Env = Readonly<Record<string, string | undefined>>;

const MARKET_SUFFIXES = ['_SYMBOLS', '_PRIORITY', '_WS_URL', '_REST_URL'] as const;

/**
 * Reads the environment (and `*_FILE` files); `options` from the command line stand above it. Throws UsageError with one line on
 * anything that is not right.
 */
export function loadConfig(known: Known, environment: Env = process.env, options: Env = {}): Config {
  const env = { ...environment, ...options };
  refuseUnknownNames(known, env);
  refuseUnverifiedTls(env);
  const given = reader(env);
  const read = (name: VariableName): string => given(name) || VARIABLES[name].default;
  const marketIds = markets(read('MARKETS'), known);
  const mode = oneOf('EXCHANGE_MODE', read('EXCHANGE_MODE'), ['live', 'sim'] as const);
  const simUrl = insecureOnlyNearby('SIM_URL', url('SIM_URL', read('SIM_URL'), ['http:', 'https:']));
  const redisUrl = url('REDIS_URL', read('REDIS_URL'), ['redis:', 'rediss:']);
  const databaseUrl = url('DATABASE_URL', read('DATABASE_URL'), ['postgres:', 'postgresql:']);
  const streamRedisUrl = read('STREAM_REDIS_URL') === '' ? redisUrl : url('STREAM_REDIS_URL', read('STREAM_REDIS_URL'), ['redis:', 'rediss:']);
  const configured = marketIds.map((id) => marketConfig(id, known, given, mode === 'sim' ? simUrl : null));
  const notify = notifyConfig(read);
  const trading = tradingConfig(configured, known, env, read);
  const unlock = read('UNLOCK_POLICY') || (trading.mode === 'test' || trading.mode === 'live' ? 'manual' : 'auto');
  return deepFreeze({
    databaseUrl,
    redisUrl,
    streamRedisUrl,
    exchangeMode: mode,
    markets: configured,
    channels: list(read('CHANNELS'), [read('CHANNELS')]).map((name) => oneOf('CHANNELS', name, channelValues)),
    resolutions: resolutions(read('OHLC_RESOLUTIONS'), marketIds, known),
    tickerIntervalMs: whole('TICKER_INTERVAL_MS', read('TICKER_INTERVAL_MS'), 0, 60_000),
    tickerSampleMs: whole('TICKER_SAMPLE_MS', read('TICKER_SAMPLE_MS'), 0, 3_600_000),
    claimIdleMs: whole('CLAIM_IDLE_MS', read('CLAIM_IDLE_MS'), 100, 3_600_000),
    batchMaxRows: whole('BATCH_MAX_ROWS', read('BATCH_MAX_ROWS'), 1, 50_000),
    bufferMessages: whole('RECEIVER_BUFFER_MESSAGES', read('RECEIVER_BUFFER_MESSAGES'), 100, 10_000_000),
    capture: {
      // A relative one is below the working directory; the receiver's log says where that is.
      folder: read('CAPTURE_DIR') === '' ? null : resolve(read('CAPTURE_DIR')),
      maxBytes: whole('CAPTURE_MAX_MB', read('CAPTURE_MAX_MB'), 1, 100_000_000) * 1024 * 1024,
    },
    backfillDays: whole('BACKFILL_DAYS', read('BACKFILL_DAYS'), 0, 730),
    backfillWorkers: whole('BACKFILL_WORKERS', read('BACKFILL_WORKERS'), 1, 64),
    jobLeaseMs: whole('JOB_LEASE_MS', read('JOB_LEASE_MS'), 100, 3_600_000),
    maintenance: {
      streamRetainMs: whole('STREAM_RETAIN_MS', read('STREAM_RETAIN_MS'), 0, 30 * 86_400_000),
      dlqMax: whole('DLQ_MAX', read('DLQ_MAX'), 100, 10_000_000),
      tradesRetentionDays: whole('TRADES_RETENTION_DAYS', read('TRADES_RETENTION_DAYS'), 0, 36_500),
      tickersRetentionDays: whole('TICKERS_RETENTION_DAYS', read('TICKERS_RETENTION_DAYS'), 0, 36_500),
    },
    audit: {
      hours: whole('AUDIT_HOURS', read('AUDIT_HOURS'), 1, 744),
      everyHours: whole('AUDIT_EVERY_HOURS', read('AUDIT_EVERY_HOURS'), 0, 8_760),
    },
    unlockPolicy: oneOf('UNLOCK_POLICY', unlock, ['manual', 'auto'] as const),
    trading,
    analyzer: analyzerConfig(read),
    notify,
    console: consoleConfig(read),
    instanceId: instanceId(read('INSTANCE_ID')),
    logLevel: oneOf('LOG_LEVEL', read('LOG_LEVEL'), ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const),
    metrics: { port: whole('METRICS_PORT', read('METRICS_PORT'), 0, 65_535), host: read('METRICS_HOST') },
    simulator: {
      host: read('SIM_HOST'),
      port: whole('SIM_PORT', read('SIM_PORT'), 0, 65_535),
      seed: whole('SIM_SEED', read('SIM_SEED'), 0, 2 ** 32 - 1),
      ledger: read('SIM_LEDGER') || null,
      replay: read('SIM_REPLAY') || null,
      speed: positive('SIM_SPEED', read('SIM_SPEED')),
      rate: positive('SIM_RATE', read('SIM_RATE')),
      faults: oneOf('SIM_FAULTS', read('SIM_FAULTS'), ['none', 'random'] as const),
    },
    secrets: [...[databaseUrl, redisUrl, streamRedisUrl].map((text) => decodeURIComponent(new URL(text).password)), trading.clientSecret.value ?? '',
      read('CONSOLE_TOKEN'), ...notifySecrets(notify)].filter((p) => p !== ''),
  } satisfies Config);
}

/** What is given for a variable: the content of `NAME_FILE` when that is set, else `NAME`; empty: nothing is. */
function reader(env: Env): (name: string) => string {
  return (name) => {
    const file = env[`${name}_FILE`];
    if (file === undefined || file === '') return env[name]?.trim() ?? '';
    if (env[name] !== undefined && env[name] !== '') throw new UsageError(`${name} and ${name}_FILE are both set: keep one`);
    const text = content(name, file);
    // A secret that was cut to nothing must not become the default.
    if (text === '') throw new UsageError(`${name}_FILE: ${file} is empty`);
    return text;
  };
}

function content(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`${name}_FILE: cannot read ${file}`, { cause: error });
  }
}

function markets(text: string, known: Known): string[] {
  const ids = list(text);
  const stranger = ids.find((id) => !Object.hasOwn(known, id));
  if (stranger !== undefined) throw new UsageError(`MARKETS: unknown market ${stranger}; known: ${Object.keys(known).join(', ')}`);
  if (ids.length === 0) throw new UsageError(`MARKETS: ${show(text)} names no market; known: ${Object.keys(known).join(', ')}`);
  return ids;
}

/** Candles that a market does not serve would be missing without a word. */
function resolutions(text: string, marketIds: readonly string[], known: Known): Resolution[] {
  const wanted = list(text, [text]).map((name) => oneOf('OHLC_RESOLUTIONS', name, resolutionValues));
  for (const id of marketIds) {
    const served = known[id]?.candleResolutions ?? [];
    const other = wanted.find((resolution) => !served.includes(resolution));
    if (other !== undefined) throw new UsageError(`OHLC_RESOLUTIONS: ${id} does not serve "${other}"; it serves ${served.join(', ')}`);
  }
  return wanted;
}

function marketConfig(id: string, known: Known, given: (name: string) => string, simUrl: string | null): MarketConfig {
  const market = known[id]!;
  const name = id.toUpperCase();
  const base = (suffix: '_WS_URL' | '_REST_URL', real: string, protocols: string[]): string => {
    const other = given(name + suffix);
    if (other !== '') return insecureOnlyNearby(name + suffix, url(name + suffix, other, protocols));
    return simUrl === null ? real : simulated(simUrl, id, real);
  };
  const symbolsOf = (suffix: '_SYMBOLS' | '_PRIORITY', otherwise: readonly string[]): readonly string[] => {
    const text = given(name + suffix);
    return text === '' ? otherwise : list(text).map((symbol) => symbolOrPattern(name + suffix, symbol));
  };
  const wanted = symbolsOf('_SYMBOLS', market.defaultSymbols);
  return {
    marketId: id,
    exchange: market.exchange,
    wsUrl: base('_WS_URL', market.wsUrl, ['ws:', 'wss:']),
    restUrl: base('_REST_URL', market.restUrl, ['http:', 'https:']),
    symbols: wanted.filter((symbol) => !isPattern(symbol)),
    patterns: wanted.filter(isPattern),
    // The order of the configuration tells what matters most; what was subscribed by command comes last.
    priority: symbolsOf('_PRIORITY', wanted.slice(0, Math.ceil(wanted.length / 2))),
  };
}

/** The simulator serves each market below its id, with the path of the real base. */
function simulated(simUrl: string, marketId: string, real: string): string {
  const sim = new URL(simUrl);
  const target = new URL(real);
  const scheme = target.protocol.startsWith('ws') ? sim.protocol.replace('http', 'ws') : sim.protocol;
  return `${scheme}//${sim.host}/${marketId}${target.pathname === '/' ? '' : target.pathname}`;
}

function refuseUnknownNames(known: Known, env: Env): void {
  const marketNames = Object.keys(known).flatMap((id) => MARKET_SUFFIXES.map((suffix) => id.toUpperCase() + suffix));
  const names = [...Object.keys(VARIABLES), ...marketNames];
  for (const name of Object.keys(env)) {
    const bare = name.endsWith('_FILE') ? name.slice(0, -5) : name;
    // RISK_FILE and its like are names of files by themselves.
    if (names.includes(bare) || names.includes(name)) continue;
    const suffix = MARKET_SUFFIXES.find((s) => bare.endsWith(s));
    const meant = closestName(bare, names) ?? begunName(bare, names);
    if (suffix === '_SYMBOLS' || (suffix !== undefined && meant !== null)) {
      const market = bare.slice(0, -suffix.length).toLowerCase();
      throw new UsageError(`${name}: unknown market ${market}; known: ${Object.keys(known).join(', ')}`);
    }
    if (meant !== null) throw new UsageError(`${name}: unknown variable, did you mean ${meant}?`);
  }
}

/** Whoever answered would be taken for the exchange, and be given its keys. */
function refuseUnverifiedTls(env: Env): void {
  const name = 'NODE_TLS_REJECT_UNAUTHORIZED';
  if (env[name] === '0') throw new UsageError(`${name}: "0" would trust anybody; remove it (NODE_EXTRA_CA_CERTS names a CA of your own)`);
}

/** The known name that `name` leaves unfinished (TICKER_SAMPLE), or null. One word alone (LOG, REDIS) may be anybody's. */
function begunName(name: string, known: readonly string[]): string | null {
  return name.includes('_') ? known.find((candidate) => candidate.startsWith(`${name}_`)) ?? null : null;
}

function instanceId(value: string): string | null {
  if (value !== '' && !/^[A-Za-z0-9_.-]{1,40}$/.test(value)) {
    throw new UsageError(`INSTANCE_ID: ${JSON.stringify(value)} may hold letters, digits, _ . - only (at most 40)`);
  }
  return value === '' ? null : value;
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) deepFreeze(child as object);
  return Object.freeze(value);
}
