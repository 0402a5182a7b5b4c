// The fleet on this machine: servers in the data folder, the simulator, the services; started side by side where they can be,
// stopped in the reverse of how data flows.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../../core/errors.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { loadConfig, type Config } from '../../runtime/env.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { createLogins } from '../../store/logins.ts';
import { claimFolder, freePort, logTail } from '../local/child.ts';
import { fileVariables, newCredentials, SERVICE_LOGINS, urlsOf, writeLogin, type Credentials, type ServiceLogin } from '../local/credentials.ts';
import { startPostgres, type LocalPostgres } from '../local/postgres.ts';
import { startRedis, type LocalRedis } from '../local/redis.ts';
import { Control } from './control.ts';
import { refuseUnreadable, refuseUnwritable, type DemoOptions } from './options.ts';
import { recordedSymbols, withDefaults } from './replay.ts';
import { Supervised } from './supervisor.ts';

const SIMULATOR_PORT = 7600;
const CONSOLE_PORT = 8080;
const DATABASE = 'tapekeeper';
const SIMULATOR_ROUNDS = 600;
/** A demo shows in seconds that the jobs of a killed backfill are not lost. */
const LEASE_MS = '3000';

/** Variables that would lead a local fleet to somebody's servers, or belong to one process only. */
const NOT_INHERITED =
  /^(DATABASE_URL|REDIS_URL|STREAM_REDIS_URL|SIM_.*|EXCHANGE_MODE|EXECUTOR_MODE|INSTANCE_ID|METRICS_.*|CONSOLE_.*|UNLOCK_POLICY|DATA_DIR)(_FILE)?$/;
const MARKET_URL = /_(WS|REST)_URL$/;

type Env = Readonly<Record<string, string | undefined>>;

export interface Fleet {
  readonly options: DemoOptions;
  readonly folder: string;
  readonly logDir: string;
  readonly ledgerFile: string;
  readonly postgres: LocalPostgres;
  readonly redis: LocalRedis;
  readonly simulator: Supervised | null;
  readonly simulatorUrl: string;
  /** Of the console's pages. */
  readonly consoleUrl: string;
  readonly receiver: Supervised;
  readonly distributors: readonly Supervised[];
  /** What keeps the data whole and the servers in bounds: governor, backfill and maintenance. */
  readonly keepers: readonly Supervised[];
  /** What the services were told, but for the servers. */
  readonly config: Config;
  /** All passwords of the servers' users: each service holds its own, and none may let it out. */
  readonly secrets: readonly string[];
  /** All long-running service processes. */
  readonly processes: readonly Supervised[];
  /** Ends the services, then the servers. Names of what had to be killed. */
  stop(): Promise<string[]>;
}

/** Starts everything; what was started is stopped again when something fails. Rejects with one clear line. */
export async function startFleet(options: DemoOptions, env: Env, say: (line: string) => void, signal: AbortSignal): Promise<Fleet> {
  const folder = options.dataDir;
  const logDir = join(folder, 'logs');
  mkdirSync(folder, { recursive: true });
  const told = { ...inherited(env, options.mode), EXCHANGE_MODE: options.mode, UNLOCK_POLICY: 'auto', JOB_LEASE_MS: env['JOB_LEASE_MS'] ?? LEASE_MS };
  // A typo is refused here, by its name: the first process to stumble over it would get the blame.
  for (const given of [told, { ...told, ...symbolVariables(options.symbols) }]) loadConfig(MARKETS, given);
  if (options.report !== null) refuseUnwritable(options.report);
  if (options.replay !== null) refuseUnreadable(options.replay);
  const claim = await claimFolder(folder, 'SIGTERM');
  // Generated markets begin anew with every start: rows of an earlier run would contradict them. What was recorded live stays.
  if (options.mode === 'sim') for (const name of ['redis', 'logs', 'ledger.ndjson', 'secrets']) rmSync(join(folder, name), { recursive: true, force: true });
  mkdirSync(logDir, { recursive: true });
  const ledgerFile = join(folder, 'ledger.ndjson');
  const simulatorPort = options.mode === 'sim' ? await freePort(SIMULATOR_PORT) : 0;
  const simulatorUrl = `http://127.0.0.1:${simulatorPort}`;
  const common = { ...told, SIM_URL: simulatorUrl };
  const simulator = options.mode === 'sim'
    ? new Supervised({ name: 'simulator', service: 'simulator', logDir, env: { ...common, ...simulatorVariables(options, simulatorPort, ledgerFile) } })
    : null;

  const started: { postgres?: LocalPostgres; redis?: LocalRedis } = {};
  const services: Supervised[] = [];
  const stop = async (): Promise<string[]> => {
    const killed = await stopAll(simulator, services, started.postgres, started.redis);
    claim.release();
    return killed;
  };
  try {
    say(`starting PostgreSQL, Redis${simulator === null ? '' : ' and the exchange simulator'} in ${folder}`);
    const credentials = newCredentials();
    const [postgres, redis] = await Promise.all([
      startPostgres(join(folder, 'postgres'), { database: DATABASE, empty: options.mode === 'sim' }).then((s) => (started.postgres = s)),
      startRedis(join(folder, 'redis'), { appendonly: true, maxmemory: '1gb', passwords: credentials.redis }).then((s) => (started.redis = s)),
      simulator === null ? null : startSimulator(simulator, simulatorUrl, signal),
    ]);
    refuseWhenAborted(signal);
    const symbols = options.replay === null ? options.symbols : await replayedSymbols(options, new Control(simulatorUrl));
    const chosen = { ...common, ...symbolVariables(symbols) };
    const config = loadConfig(MARKETS, chosen);
    if (simulator !== null) await refuseUnlisted(config, new Control(simulatorUrl));
    const envOf = await giveLogins(folder, credentials, postgres, redis, chosen);
    writeFileSync(join(folder, 'connect.env'), `DATABASE_URL=${postgres.url}\nREDIS_URL=${redis.url}\n`, { mode: 0o600 });
    say('bootstrapping: schema, instruments, states');
    await bootstrap(new Supervised({ name: 'janitor', service: 'janitor', logDir, env: envOf('janitor') }), signal);
    const receiver = new Supervised({ name: 'receiver', service: 'receiver', logDir, env: envOf('receiver') });
    const distributors = Array.from({ length: options.distributors }, (_, i) =>
      new Supervised({ name: `distributor-${i + 1}`, service: 'distributor', logDir, env: envOf('distributor') }));
    const keepers = (['governor', 'backfill', 'maintenance'] as const).map((service) =>
      new Supervised({ name: service, service, logDir, env: envOf(service) }));
    const analyzer = new Supervised({ name: 'analyzer', service: 'analyzer', logDir, env: envOf('analyzer') });
    const consolePort = await freePort(CONSOLE_PORT);
    const console_ = new Supervised({ name: 'console', service: 'console', logDir, env: { ...envOf('console'), CONSOLE_PORT: String(consolePort) } });
    services.push(receiver, ...distributors, ...keepers, analyzer, console_);
    await Promise.all(services.map((service) => service.start()));
    const processes = simulator === null ? services : [simulator, ...services];
    return {
      options, folder, logDir, ledgerFile, postgres, redis, simulator, simulatorUrl, receiver, distributors, keepers, processes, config, stop,
      consoleUrl: `http://127.0.0.1:${consolePort}`,
      secrets: [decodeURIComponent(new URL(postgres.url).password), ...Object.values(credentials.redis), ...Object.values(credentials.database)],
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Makes the roles of the database, and gives each service a file with its own login: what stands in an environment can be read in
 * /proc, and is handed on to every child. Resolves with what tells a service's environment.
 */
async function giveLogins(
  folder: string, credentials: Credentials, postgres: LocalPostgres, redis: LocalRedis, common: Readonly<Record<string, string>>,
): Promise<(service: ServiceLogin) => Record<string, string>> {
  const pool = createPool(postgres.url, { name: 'demo-logins', log: { warn: () => undefined }, max: 1 });
  await createLogins(pool, credentials.database).finally(() => closePool(pool));
  const secrets = join(folder, 'secrets');
  const at = { database: `${new URL(postgres.url).host}/${DATABASE}`, redis: new URL(redis.url).host };
  for (const service of SERVICE_LOGINS) writeLogin(secrets, service, urlsOf(service, credentials, at));
  return (service) => ({ ...common, ...fileVariables(secrets, service) });
}

function refuseWhenAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new Error('stopped before the fleet was up');
}

async function startSimulator(simulator: Supervised, url: string, signal: AbortSignal): Promise<void> {
  await simulator.start();
  for (let round = 0; round < SIMULATOR_ROUNDS; round++) {
    const answered = await fetch(`${url}/control/state`).then((response) => response.ok, () => false);
    if (answered) return;
    refuseWhenAborted(signal);
    if (simulator.restarts > 2) break;
    await sleep(25);
  }
  throw new Error(`the simulator does not start: ${reasonIn(simulator.logFile)}`);
}

/** Of a symbol that nobody lists nothing comes: a run without it would pass for one with it. */
async function refuseUnlisted({ markets }: Config, control: Control): Promise<void> {
  const state = await control.state();
  const unlisted = markets.flatMap(({ marketId, symbols }) => {
    const listed = new Set(state.markets[marketId]?.instruments.map(({ symbol }) => symbol));
    return symbols.filter((symbol) => !listed.has(symbol)).map((symbol) => `${marketId}:${symbol}`);
  });
  if (unlisted.length > 0) throw new UsageError(`symbols that the simulator does not list: ${unlisted.join(', ')}`);
}

async function bootstrap(janitor: Supervised, signal: AbortSignal): Promise<void> {
  const interrupt = (): void => void janitor.stop();
  signal.addEventListener('abort', interrupt, { once: true });
  const code = await janitor.runOnce();
  signal.removeEventListener('abort', interrupt);
  refuseWhenAborted(signal);
  if (code !== 0) throw new Error(`the bootstrap failed: ${reasonIn(janitor.logFile)}`);
}

/** The last thing a process said before it ended: its fatal log line, else the last line whatever it is. */
export function reasonIn(logFile: string): string {
  const lines = logTail(logFile, 40).split('\n');
  const fatal = lines.findLast((line) => line.includes('"level":"fatal"'));
  try {
    if (fatal !== undefined) return `${(JSON.parse(fatal) as { msg?: string }).msg ?? fatal} (${logFile})`;
  } catch {
    // not JSON after all: fall through to the text
  }
  return `${lines.at(-1) ?? ''} (${logFile})`;
}

async function stopAll(
  simulator: Supervised | null, services: readonly Supervised[], postgres: LocalPostgres | undefined, redis: LocalRedis | undefined,
): Promise<string[]> {
  const all = simulator === null ? services : [...services, simulator];
  const clean = await Promise.all(all.map((service) => service.stop()));
  await Promise.all([postgres?.stop('fast'), redis?.stop()]);
  return all.filter((_, i) => clean[i] === false).map((service) => service.name);
}

function inherited(env: Env, mode: 'sim' | 'live'): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || NOT_INHERITED.test(name)) continue;
    // A simulated fleet that reads a real exchange would be neither.
    if (mode === 'sim' && MARKET_URL.test(name)) continue;
    out[name] = value;
  }
  return out;
}

/** Without a wish for generated trades a replay is the only source: a generator on a recorded symbol would contradict the tape. */
async function replayedSymbols(options: DemoOptions, control: Control): Promise<ReadonlyMap<string, readonly string[]>> {
  const recorded = recordedSymbols(await control.state());
  if (recorded.size === 0) throw new Error(`${options.replay} holds no recording of a known market`);
  if (options.rate === null) await control.rate(0);
  return options.symbols ?? (options.rate === null ? recorded : withDefaults(recorded));
}

function symbolVariables(symbols: ReadonlyMap<string, readonly string[]> | null): Record<string, string> {
  if (symbols === null) return {};
  const lists = [...symbols].map(([market, names]) => [`${market.toUpperCase()}_SYMBOLS`, names.join(',')]);
  return { MARKETS: [...symbols.keys()].join(','), ...(Object.fromEntries(lists) as Record<string, string>) };
}

function simulatorVariables(options: DemoOptions, port: number, ledgerFile: string): Record<string, string> {
  return {
    SIM_HOST: '127.0.0.1', SIM_PORT: String(port), SIM_SEED: String(options.seed), SIM_LEDGER: ledgerFile, SIM_SPEED: String(options.speed),
    ...(options.rate === null ? {} : { SIM_RATE: String(options.rate) }),
    ...(options.replay === null ? {} : { SIM_REPLAY: options.replay }),
  };
}
