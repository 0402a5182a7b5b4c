// `npm run bench -- [normalise|publish|persist|e2e|heal|backfill|queries|capture|overhead|analyzer|backtest|console|orders|soak|analyzer-soak …]
// [--frames PATH] [--rate N] [--seconds N] [--minutes N] [--rows N] [--rounds N] [--json FILE]`. Without a name: all but the soaks, which
// take half an hour each.
// Every figure stands beside a floor that was measured in the same run; quote the ratios.
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { benchFree, benchLimited } from './bench/backfill.ts';
import { analyzerTables, benchAnalyzer } from './bench/analyzer.ts';
import { analyzerSoakTable, soakAnalyzer } from './bench/analyzer_soak.ts';
import { backtestTables, benchBacktest } from './bench/backtest.ts';
import { benchCapture } from './bench/capture.ts';
import { benchLatency, benchSustained } from './bench/end-to-end.ts';
import { benchConsole, consoleTables } from './bench/console.ts';
import { framesFrom, framesFromSimulator } from './bench/frames.ts';
import { benchHeal } from './bench/heal.ts';
import { rate, table } from './bench/measure.ts';
import { benchNormalise, normaliseTable } from './bench/normalise.ts';
import { benchOrders, ordersTable } from './bench/orders.ts';
import { benchOverhead, overheadTables } from './bench/overhead.ts';
import { benchPersist } from './bench/persist.ts';
import { benchPublish } from './bench/publish.ts';
import { benchQueries } from './bench/queries.ts';
import { benchSoak, soakTable } from './bench/soak.ts';
import { userPath } from './local/user_path.ts';

const PARTS = ['normalise', 'publish', 'persist', 'e2e', 'heal', 'backfill', 'queries', 'capture', 'overhead',
  'analyzer', 'backtest', 'console', 'orders', 'soak', 'analyzer-soak'] as const;
type Part = (typeof PARTS)[number];
const LONG: readonly Part[] = ['soak', 'analyzer-soak'];

interface Options {
  parts: readonly Part[];
  frames: string | undefined;
  /** Asked for, else each part's own. */
  rate: number | undefined;
  seconds: number;
  minutes: number;
  rows: number;
  rounds: number;
  json: string | undefined;
}

const percent = (value: number | null): string => (value === null ? '-' : `${(value * 100).toFixed(0)} %`);
const within = (value: number, [from, to]: readonly [number, number]): string => `${percent(value)} (${percent(from)} to ${percent(to)})`;
const ms = (value: number): string => value.toFixed(2);

const cpuColumns = (micros: Record<string, number>): Record<string, string> =>
  Object.fromEntries(Object.entries(micros).map(([name, us]) => [`${name} µs`, us.toFixed(1)]));

function readOptions(argv: string[]): Options {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      frames: { type: 'string' },
      json: { type: 'string' },
      rate: { type: 'string' },
      seconds: { type: 'string', default: '20' },
      minutes: { type: 'string', default: '30' },
      rows: { type: 'string', default: '400000' },
      rounds: { type: 'string', default: '5' },
    },
  });
  const unknown = positionals.find((p) => !PARTS.includes(p as Part));
  if (unknown !== undefined) throw new UsageError(`unknown part ${JSON.stringify(unknown)}; parts: ${PARTS.join(', ')}`);
  const whole = (name: 'rate' | 'seconds' | 'minutes' | 'rows' | 'rounds'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name}: ${JSON.stringify(values[name])} is not a whole number above 0`);
    return value;
  };
  return {
    parts: positionals.length === 0 ? PARTS.filter((part) => !LONG.includes(part)) : (positionals as Part[]),
    frames: values.frames === undefined ? undefined : readable('--frames', userPath(values.frames, process.env)),
    json: values.json === undefined ? undefined : userPath(values.json, process.env),
    rate: values.rate === undefined ? undefined : whole('rate'),
    seconds: whole('seconds'),
    minutes: whole('minutes'),
    rows: whole('rows'),
    rounds: whole('rounds'),
  };
}

function readable(option: string, path: string): string {
  if (!existsSync(path)) throw new UsageError(`${option}: ${path} does not exist`);
  return path;
}

const RUN: Record<Part, (options: Options) => Promise<{ result: unknown; rows: Record<string, string | number>[] }[]>> = {
    async normalise({ frames, rounds }) {
      const sets = frames === undefined ? await framesFromSimulator(5, 1) : framesFrom(frames);
      const result = benchNormalise(sets, Math.max(rounds, 7));
      return [{ result, rows: normaliseTable(result) }];
    },
    async publish({ rows, rounds }) {
      const r = await benchPublish(rows, rounds);
      return [
        {
          result: r,
          rows: [
            {
              messages: r.messages,
              'ours/s': rate(r.oursPerSecond),
              'redis-benchmark -P 500/s': r.redisBenchmarkPerSecond === null ? '-' : rate(r.redisBenchmarkPerSecond),
              'raw socket/s': rate(r.rawSocketPerSecond),
              'of redis-benchmark (≥ 100 %)': percent(r.ofRedisBenchmark),
              'of raw socket': percent(r.ofRawSocket),
            },
          ],
        },
      ];
    },
    async persist({ rows, rounds }) {
      const r = await benchPersist(rows, Math.min(rounds, 5));
      return [
        {
          result: r,
          rows: [
            {
              rows: r.rows,
              'committed/s': rate(r.committedPerSecond),
              'keyed COPY/s': rate(r.keyedCopyPerSecond),
              'keyless COPY/s': rate(r.keylessCopyPerSecond),
              'of keyed (≥ 80 %)': percent(r.ofKeyedCopy),
              'of keyless (≥ 50 %)': percent(r.ofKeylessCopy),
              ...cpuColumns(r.cpuMicrosPerRow),
            },
          ],
        },
      ];
    },
    async e2e({ rate: asked = 25_000, seconds }) {
      const s = await benchSustained(asked, seconds);
      const l = await benchLatency(seconds);
      return [
        {
          result: s,
          rows: [
            {
              'asked/s': rate(s.askedPerSecond),
              'socket/s': rate(s.emittedPerSecond),
              'committed/s (≥ 20,000)': rate(s.committedPerSecond),
              'lag at half': s.lagMiddle,
              'lag at end': s.lagEnd,
              lost: s.lost,
              ...cpuColumns(s.cpuMicrosPerTrade),
            },
          ],
        },
        {
          result: l,
          rows: (['socketToRedisMs', 'socketToCommittedMs'] as const).map((name) => ({
            'latency at 1,000 trades/s, ms':
              name === 'socketToRedisMs' ? 'socket → Redis (p99 ≤ 5)' : 'socket → committed (p99 ≤ 250)',
            p50: ms(l[name].p50),
            p99: ms(l[name].p99),
            'p99.9': ms(l[name].p999),
          })),
        },
      ];
    },
    async heal({ rate: asked = 400, seconds }) {
      const r = await benchHeal(asked, seconds);
      return [
        {
          result: r,
          rows: [
            {
              seconds: r.seconds,
              symbols: r.symbols,
              gaps: r.gaps,
              closed: r.closed,
              expected: r.expected,
              recovered: r.recovered,
              'all closed after s (≤ 30)': r.healedAfterSeconds === null ? 'never' : r.healedAfterSeconds.toFixed(1),
              pages: r.pages,
              'against the ledger': r.failed.length === 0 ? 'equal' : r.failed.join('; '),
            },
          ],
        },
      ];
    },
    async backfill({ seconds }) {
      const limited = await benchLimited(seconds);
      const free = await benchFree();
      return [
        {
          result: limited,
          rows: [
            {
              'at the limit, workers': limited.workers,
              seconds: limited.seconds.toFixed(1),
              'weight served': limited.served,
              allowed: Math.round(limited.allowed),
              'of the limit (≥ 90 %)': percent(limited.ofLimit),
              '429s': limited.refused,
              'candles/s': rate(limited.candlesPerSecond),
            },
          ],
        },
        {
          result: free,
          rows: [
            {
              'without limits, candles': free.candles,
              'stored/s (≥ 50,000)': rate(free.candlesPerSecond),
              'COPY/s': rate(free.copyPerSecond),
              'of COPY': percent(free.ofCopy),
              'against the simulator': free.wrong === 0 ? 'equal' : `${free.wrong} rows differ`,
            },
          ],
        },
      ];
    },
    async queries({ rows, rounds }) {
      const r = await benchQueries(rows, rounds);
      return [
        {
          result: r,
          rows: [
            {
              'trades of a day': r.trades,
              'as candles, ms': r.aggregateMs.toFixed(0),
              'plain table, ms': r.plainMs.toFixed(0),
              'of plain (≤ 150 %)': percent(r.timesPlain),
              'a year of minutes, ms (≤ 300)': r.yearMs.toFixed(0),
              'completeness of days': r.days,
              'ms (≤ 500)': r.completenessMs.toFixed(0),
            },
          ],
        },
      ];
    },
    overhead: async ({ rows, rounds }) => overheadTables(await benchOverhead(rows, rounds)),
    async capture({ rows, rounds }) {
      const r = await benchCapture(rows, rounds);
      return [
        {
          result: r,
          rows: [
            {
              stretches: r.stretches, 'frames each': r.framesEach, captured: `${r.capturedFrames} of ${r.sentFrames}`,
              'off/s': rate(r.offPerSecond),
              'on/s': rate(r.onPerSecond),
              'on / off (≥ 97 %)': within(r.onToOff, r.onToOffWithin),
              'main thread off µs': r.threadMicrosPerFrame.off.toFixed(2), 'on µs': r.threadMicrosPerFrame.on.toFixed(2),
              'main thread off / on (≥ 97 %)': within(r.threadOffToOn, r.threadOffToOnWithin),
              'process off µs': r.cpuMicrosPerFrame.off.toFixed(2), ' on µs': r.cpuMicrosPerFrame.on.toFixed(2),
              'bytes/frame': r.bytesPerFrame.toFixed(1),
            },
          ],
        },
      ];
    },
    async analyzer({ rows, rounds, seconds }) {
      return analyzerTables(await benchAnalyzer(rows, rounds, seconds));
    },
    backtest: async ({ rows, rounds }) => backtestTables(await benchBacktest(rows, rounds)),
    console: async ({ rate: asked = 5_000, seconds }) => consoleTables(await benchConsole(asked, seconds)),
    async orders({ rate: asked, seconds }) {
      const result = await benchOrders(asked, seconds);
      return [{ result, rows: ordersTable(result) }];
    },
    async 'analyzer-soak'({ rate: asked = 2_000, minutes }) {
      const result = await soakAnalyzer(asked, minutes);
      return [{ result, rows: analyzerSoakTable(result) }];
    },
    async soak({ rate: asked = 5_000, minutes }) {
      const result = await benchSoak(asked, minutes);
      return [{ result, rows: soakTable(result) }];
    },
  };

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const cpu = `${cpus().length} × ${cpus()[0]?.model ?? '?'}`;
  const report: Record<string, unknown> = { node: process.version, cpu, at: new Date().toISOString() };
  for (const part of options.parts) {
    process.stdout.write(`\n== ${part}\n`);
    const measured = await RUN[part](options);
    for (const { rows } of measured) process.stdout.write(`\n${table(rows)}`);
    report[part] = measured.length === 1 ? measured[0]!.result : measured.map((m) => m.result);
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

main().catch((error: unknown) => {
  const e = toError(error);
  const usage = e instanceof UsageError || (e as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`bench: ${usage ? e.message : (e.stack ?? e.message)}\n`);
  process.exit(usage ? 2 : 1);
});
