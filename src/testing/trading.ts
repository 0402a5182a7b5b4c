// A stage for trading: simulator, receiver, Redis, database, and executors and guards as processes of their own, that tests may kill.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { parseOrderUpdate, streamOrderUpdatesKey, streamSignalsKey, systemStateKey, systemStateSimpleKey } from '../contracts/index.ts';
import type { OrderUpdate, Signal } from '../contracts/index.ts';
import { macOf } from '../services/executor/intake.ts';
import { replaceInstruments } from '../store/instruments.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { riskFile, type RiskText } from '../scripts/local/risk_file.ts';
import { freshDatabase, type FreshDatabase } from './servers.ts';
import { openStage, until, type Stage } from './receiver.ts';

export const PERP = 'BTC-PERPETUAL';
/** The RISK_FILE of a stage, roomy but for what is given. */
export const stageRisk = ({ strategies = ['manual', 'other'], limits, account, more }: Partial<RiskText> = {}): string => riskFile({
  strategies, limits: { [PERP]: [1000, 1000, 100_000], ...limits },
  account: { max_open_orders: 500, max_gross_notional: 1_000_000, ...account }, more: { price_collar_percent: 40, ...more },
});

/** One process of the fleet. */
export interface Running {
  readonly child: ChildProcess;
  readonly log: () => string;
  /** Resolves with the exit code; null: killed. */
  readonly ended: Promise<number | null>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface TradingStage extends Stage {
  readonly databaseUrl: string;
  readonly db: pg.Client;
  readonly commands: Redis;
  readonly folder: string;
  readonly killFile: string;
  /** Starts a service as a process. */
  run(service: 'executor' | 'guard', more?: Record<string, string>): Running;
  /** Starts an executor that trades, with a guard beside it, and waits until it takes signals. */
  trading(more?: Record<string, string>): Promise<{ executor: Running; guard: Running }>;
  /** Sends a signal by XADD, with a mac where there is a key (`mac`: another one; null: none); returns its id. */
  signal(some?: Partial<Signal>, mac?: string | null): Promise<string>;
  /** The key of signals' macs from now on. */
  signWith(key: string): void;
  updates(): Promise<OrderUpdate[]>;
  /** The first update of a signal that `is` accepts. */
  answer(signalId: string, is?: (update: OrderUpdate) => boolean): Promise<OrderUpdate>;
  /** Labels of the order requests that reached the exchange. */
  requests(): (string | null)[];
  state(state: string): Promise<void>;
  /** What the exchange's books say of the account. */
  account(): { positions: { symbol: string; amount: string }[]; open_orders: { label: string; order_id: string }[]; fills: number };
  /** A limit price far below the market, on the tick: it rests. */
  restingPrice(): Promise<string>;
}

/** Processes share the machine with other tests. */
export const PATIENCE_MS = 60_000;
const ROOT = join(import.meta.dirname, '../..');
let numbers = 0;

export interface TradingStageOptions {
  /** A server of the test's own, migrated, for it to stop; one database of the run's server when absent. */
  database?: FreshDatabase;
  /** RISK_FILE. */
  risk?: string;
}

/** Opens the stage; everything on it is closed with it. */
export async function openTradingStage(name: string, { risk = stageRisk(), ...options }: TradingStageOptions = {}): Promise<TradingStage> {
  const database = options.database ?? await freshDatabase(name, { migrated: true });
  const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-trading-'));
  const stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: PERP, CHANNELS: 'trade,ticker' });
  await stage.receive();
  const db = new pg.Client(database.url);
  await db.connect();
  // Tests may stop its server.
  db.on('error', () => undefined);
  const commands = new Redis(stage.redis.url, { maxRetriesPerRequest: null });
  commands.on('error', () => undefined);
  const killFile = join(folder, 'kill');
  const riskFile = join(folder, 'risk.yml');
  writeFileSync(riskFile, risk);
  await listInstruments(db, stage);
  const env = {
    ...stage.env, DATABASE_URL: database.url, EXECUTOR_MODE: 'paper', DERIBIT_CLIENT_ID: 'sim', DERIBIT_CLIENT_SECRET: 'sim-secret', RISK_FILE: riskFile,
    KILL_FILE: killFile, LOG_LEVEL: 'info', PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? folder,
  };
  const running = new Set<Running>();
  let key: Buffer | null = null;
  const run: TradingStage['run'] = (service, more = {}) => startProcess(service, { ...env, ...more }, running);
  const self: TradingStage = {
    ...stage, databaseUrl: database.url, db, commands, folder, killFile, env, run,
    async trading(more = {}) {
      await self.state('HEALTHY');
      const guard = run('guard', more);
      const executor = run('executor', more);
      await ready(self, executor);
      return { executor, guard };
    },
    signWith: (given) => void (key = Buffer.from(given)),
    async signal(some = {}, mac) {
      const signal: Signal = {
        v: 1, signal_id: `s-${process.pid}-${++numbers}`, strategy: 'manual', market_id: 'deribit', symbol: PERP, side: 'buy', amount: '10',
        order_type: 'limit', created_ts: Date.now() * 1000, valid_for_ms: 10_000, ...some,
      };
      const payload = JSON.stringify(signal);
      const signed = mac === undefined && key !== null ? macOf(payload, key) : mac ?? null;
      await commands.xadd(streamSignalsKey, '*', 'payload', payload, ...(signed === null ? [] : ['mac', signed]));
      return signal.signal_id;
    },
    updates: async () => (await commands.xrange(streamOrderUpdatesKey, '-', '+')).map(([, fields]) => {
      const parsed = parseOrderUpdate(JSON.parse(fields[1] ?? 'null'));
      if (!parsed.ok) throw new Error(`an update breaks the contract: ${parsed.error}`);
      return parsed.value;
    }),
    async answer(signalId, is = () => true) {
      let found: OrderUpdate | undefined;
      await until(async () => (found = (await self.updates()).find((update) => update.signal_id === signalId && is(update))) !== undefined, PATIENCE_MS);
      return found!;
    },
    requests: () => [...stage.simulator.ledger.entries()].filter((e) => e.k === 'order_request' && /buy|sell/.test(String(e['method'])))
      .map((entry) => entry['label'] as string | null),
    async state(state) {
      await commands.mset(systemStateKey('deribit'), state, systemStateSimpleKey, state);
    },
    account: () => (stage.simulator.state()['markets'] as Record<string, { account: ReturnType<TradingStage['account']> }>)['deribit']!.account,
    restingPrice: async () => String(Math.floor(Number(await commands.hget(`ticker:deribit:${PERP}`, 'mark_price')) * 0.9)),
    async close() {
      await Promise.all([...running].map((process) => process.stop('SIGKILL')));
      commands.disconnect();
      await db.end().catch(() => undefined);
      await stage.close();
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return self;
}

async function listInstruments(db: pg.Client, stage: Stage): Promise<void> {
  const rest = MARKETS['deribit']!.rest(`${stage.simulator.url}/deribit/api/v2`, async (url) => (await fetch(url)).text());
  await db.query('BEGIN');
  await replaceInstruments(db, 'deribit', await rest.instruments());
  await db.query('COMMIT');
}

function startProcess(service: string, env: Record<string, string>, running: Set<Running>): Running {
  const child = spawn(process.execPath, [join(ROOT, 'src/scripts/start.ts'), service], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const self: Running = {
    child, ended, log: () => text,
    stop: (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
  running.add(self);
  void ended.then(() => running.delete(self));
  return self;
}

/** Waits until the executor's gate lets an order through. */
export async function ready(stage: TradingStage, executor: Running): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (executor.child.exitCode !== null) throw new Error(`the executor has ended: ${executor.log().slice(-3000)}`);
    if (Date.now() > deadline) {
      const last = JSON.stringify((await stage.updates()).slice(-3));
      throw new Error(`the executor takes no signals: ${executor.log().slice(-3000)} ${last}`);
    }
    // Far from the market and too small: BELOW_MINIMUM tells nothing, so a real order is tried that nobody fills.
    const id = await stage.signal({ price: await stage.restingPrice(), time_in_force: 'immediate_or_cancel' });
    const { kind } = await stage.answer(id);
    if (kind === 'order') {
      await stage.answer(id, ({ state }) => state === 'CANCELLED');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Runs a command of src/scripts to its end. */
export async function runScript(name: string, args: readonly string[], env: Record<string, string>): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, [join(ROOT, `src/scripts/${name}.ts`), ...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out };
}
