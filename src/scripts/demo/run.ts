// A headless run with a verdict: traffic and faults → heal → stop the generators → drain → check → report.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Watch, limitsOf } from './bounds.ts';
import { Chaos, checkSchedule, schedule, scheduleHash, type Planned } from './chaos.ts';
import { Control } from './control.ts';
import { checkDeadLetters, waitForDrain, waitForHealing, waitForQueues, waitForReceiver } from './drain.ts';
import type { FiguresReader } from './figures.ts';
import type { Fleet } from './fleet.ts';
import { checkLiveness } from './liveness.ts';
import { checkReplay } from './replayed.ts';
import { checkSchema } from './schema.ts';
import { checkRights } from './rights.ts';
import { Search, checkSecrets, lookAtProcesses } from './secrets.ts';
import type { Snapshot } from './snapshot.ts';
import { checkStates } from './states.ts';
import { checkSubscriptions } from './subscribed.ts';
import { checkTrades, verdict, type Verdict } from './verdict.ts';

const SETTLE_S = 30;
const DRAIN_S = 60;
const HEAL_S = 60;
const LIFE_S = 60;
const REST_S = 5;
/** Trades per second where nothing else was asked for: the simulator's default (SIM_RATE), and what real markets do on a busy day. */
const RATE = { sim: 200, live: 2_000 };

export interface Report {
  ok: boolean;
  mode: string;
  seed: number;
  started_at: string;
  duration_s: number;
  /** From the command's start to the first committed trade row. */
  first_row_s: number | null;
  /** Of the planned faults: the same for the same seed, markets and duration. */
  schedule_hash: string;
  invariants: Verdict[];
  faults: Chaos['strikes'];
  figures: Snapshot | null;
  restarts: Record<string, number>;
}

export interface RunParts {
  fleet: Fleet;
  reader: FiguresReader;
  signal: AbortSignal;
  startedAt: string;
  firstRowS: () => number | null;
  lastSnapshot: () => Snapshot | null;
  say: (line: string) => void;
}

/** Runs for the options' duration, then settles and checks. Returns null when it was interrupted. */
export async function checkedRun(parts: RunParts): Promise<Report | null> {
  const { fleet, reader, signal, say } = parts;
  const { options } = fleet;
  const durationS = options.durationS ?? 0;
  const control = new Control(fleet.simulatorUrl);
  const chaos = new Chaos(fleet, control, reader.redis);
  const markets = fleet.config.markets.map(({ marketId }) => marketId);
  const planned = (): Planned[] => (options.faults ? schedule(options.seed, markets, durationS) : []);
  const plan = planned();
  const watch = new Watch(fleet, reader.redis, reader.pool, () => reader.metrics);
  try {
    await Promise.all([sleep(durationS * 1000, undefined, { signal }), chaos.play(plan, durationS, signal)]);
    const figures = parts.lastSnapshot();
    say('settling: heal, stop the generators, drain');
    const invariants = options.mode === 'sim' ? await settleSimulated(parts, control, chaos, markets) : await settleLive(fleet, reader);
    await watch.stop();
    const settledS = durationS + SETTLE_S;
    invariants.push(watch.peaks.judge(limitsOf(settledS, options.rate ?? RATE[options.mode])));
    if (options.mode === 'sim') invariants.push(checkSchedule(plan, planned(), chaos.strikes, durationS));
    const report: Report = {
      ok: invariants.every((invariant) => invariant.ok) && chaos.strikes.every((strike) => strike.problem === null),
      mode: options.mode, seed: options.seed, started_at: parts.startedAt, duration_s: durationS, first_row_s: parts.firstRowS(),
      schedule_hash: scheduleHash(plan), invariants: invariants.sort((a, b) => (a.number ?? 0) - (b.number ?? 0)), faults: chaos.strikes, figures,
      restarts: Object.fromEntries(fleet.processes.map((process) => [process.name, process.restarts])),
    };
    if (options.report !== null) writeFileSync(options.report, `${JSON.stringify(report, null, 2)}\n`);
    for (const line of reportLines(report)) say(line);
    return report;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    await watch.stop();
  }
}

async function settleSimulated({ fleet, reader, lastSnapshot }: RunParts, control: Control, chaos: Chaos, markets: readonly string[]): Promise<Verdict[]> {
  const { redis, pool } = reader;
  const services = [fleet.receiver, ...fleet.distributors, ...fleet.keepers];
  await control.heal();
  const subscriptions = await checkSubscriptions(redis, control, markets, fleet.config.resolutions, SETTLE_S);
  // Healthy traffic once more: the first trade after a hole is what makes the hole known.
  await sleep(2_000);
  const liveness = await checkLiveness(redis, services, chaos.killed, () => lastSnapshot()?.latencyMs?.p99 ?? null, LIFE_S);
  const search = new Search(...fleet.secrets);
  await lookAtProcesses(search, fleet);
  await control.rate(0);
  await sleep(500);
  const unpublished = await waitForReceiver(redis, fleet.ledgerFile, SETTLE_S);
  // Quotes go on without trades; only a stopped receiver leaves a stream that can be drained to its end.
  await fleet.receiver.stop();
  const drained = await waitForDrain(redis, DRAIN_S);
  const healed = await waitForHealing(pool, HEAL_S);
  const queues = await waitForQueues(redis, HEAL_S);
  const exchanges = [...new Set(fleet.config.markets.map(({ exchange }) => exchange))];
  const states = await checkStates(pool, redis, exchanges, REST_S);
  const trades = await checkTrades(pool, fleet.ledgerFile);
  const letters = await checkDeadLetters(redis, chaos.poison);
  const published = verdict('published', unpublished === null ? [] : [unpublished], unpublished ?? 'the receiver holds nothing back');
  // Nobody but the distributors may write now: what changes then is their doing.
  await Promise.all(fleet.keepers.map((keeper) => keeper.stop()));
  const replay = await checkReplay(redis, pool, DRAIN_S);
  const schema = await checkSchema(pool, REST_S);
  const secrets = await checkSecrets(search, fleet, redis, pool);
  const rights = await checkRights(redis, fleet.postgres.logFile);
  return [...trades, healed, published, drained, queues, letters, states, subscriptions, liveness, secrets, rights, schema, replay];
}

/** Nobody keeps a ledger of the real exchanges: what can be checked is that all that came in is stored. */
async function settleLive(fleet: Fleet, reader: FiguresReader): Promise<Verdict[]> {
  await fleet.receiver.stop();
  const drained = await waitForDrain(reader.redis, DRAIN_S);
  const { rows } = await reader.pool.query<{ n: string }>('SELECT count(*) AS n FROM public_trades');
  const stored = Number(rows[0]?.n ?? 0);
  const some = verdict('rows', stored > 0 ? [] : ['no trade was stored'], `${stored} trades stored`, { rows: stored });
  return [some, drained, await checkDeadLetters(reader.redis, [])];
}

/** The verdicts as lines for people. */
export function reportLines(report: Report): string[] {
  const lines = report.invariants.map(({ number, name, ok, detail }) =>
    `${ok ? '✓' : '✗'} ${String(number ?? '').padStart(2)} ${name.padEnd(17)} ${detail}`);
  const examples = report.invariants.flatMap(({ name, examples: shown }) => shown.map((example) => `    ${name}: ${example}`));
  const failed = report.faults.filter(({ problem }) => problem !== null).map(({ what, problem }) => `✗ fault not injected: ${what}: ${problem}`);
  return [...lines, ...examples, ...failed, report.ok ? 'all invariants hold' : 'INVARIANTS FAILED'];
}
