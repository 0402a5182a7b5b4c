// (h) sma-cross over a year and more of candles, and over trades, beside a floor of the same run: bare iteration over the arrays, and
// two moving averages over them. Once from memory, once from a database through the command's own reader.
import { parseStrategies } from '../../services/executor/strategies/parse_strategies.ts';
import type { CandleChunk, TradeChunk } from '../../store/replay.ts';
import { readCandles, readTrades, replayInstrument } from '../../store/replay.ts';
import { createPool } from '../../store/connect.ts';
import { migrateUp } from '../../store/migrate.ts';
import { ensureDayPartitions } from '../../store/partitions.ts';
import type { BacktestOptions } from '../backtest/options.ts';
import { backtest, type Sources } from '../backtest/run.ts';
import { setupOf } from '../backtest/setup.ts';
import { median, rate } from './measure.ts';
import { openStage } from './stage.ts';

export interface BacktestResult {
  what: 'candles' | 'trades';
  rows: number;
  intents: number;
  /** From memory, per second of processor time. */
  perSecond: number;
  /** From PostgreSQL, by the clock: the server works on another core, when there is one. */
  storedPerSecond: number;
  iterationPerSecond: number;
  smaPerSecond: number;
  ofSma: number;
}

const MARKET = 'deribit';
const SYMBOL = 'BTC-PERPETUAL';
const FROM = Date.UTC(2024, 0, 1) * 1000;
const MINUTE = 60_000_000;
const PIECE = 32_768;
const PARAMS = { fast: 240, slow: 1_440 };
const YAML = `strategies:
  - { strategy: sma-cross, market: ${MARKET}, symbol: ${SYMBOL}, params: { fast: ${PARAMS.fast}, slow: ${PARAMS.slow}, amount: 1000 } }`;
const TRADES_PER_MINUTE = 20;

/** `rows` candles and `rows` trades; each figure is the median of `rounds` rounds, in turn. */
export async function benchBacktest(rows: number, rounds: number): Promise<BacktestResult[]> {
  const stage = await openStage();
  const pool = createPool(stage.databaseUrl, { name: 'bench', log: { warn: () => undefined } });
  try {
    await migrateUp(stage.databaseUrl);
    await fill(pool, rows);
    const row = (await replayInstrument(pool, MARKET, SYMBOL))!;
    const [entry] = parseStrategies(YAML, 'bench', [MARKET]);
    const results: BacktestResult[] = [];
    for (const what of ['candles', 'trades'] as const) {
      const minutes = what === 'candles' ? rows : Math.ceil(rows / TRADES_PER_MINUTE);
      const scope = { instrumentId: row.instrumentId, from: FROM, until: FROM + minutes * MINUTE };
      const stored: Sources = {
        candles: () => readCandles(pool, scope, '1m'), trades: () => readTrades(pool, scope), tickers: () => none(),
      };
      const candles = what === 'candles' ? await all(readCandles(pool, scope, '1m')) : [];
      const trades = what === 'trades' ? await all(readTrades(pool, scope)) : [];
      const memory: Sources = { candles: () => from(candles), trades: () => from(trades), tickers: () => none() };
      const options: BacktestOptions = {
        entry: entry!, data: [what], from: scope.from, until: scope.until, deposit: '10', slippageTicks: 1, makerFee: '0', takerFee: '0.0005',
        limits: null, json: false, out: null,
      };
      const setup = setupOf(row, options);
      const run = (sources: Sources) => backtest(options, setup, sources, new AbortController().signal);
      const closes = what === 'candles' ? candles.map((piece) => piece.close) : trades.map((piece) => piece.price);
      const times = { memory: [] as number[], stored: [] as number[], iteration: [] as number[], sma: [] as number[] };
      let intents = 0;
      for (let round = 0; round <= rounds; round++) {
        const took = {
          iteration: await onCore(() => iterate(closes)), sma: await onCore(() => averages(closes)),
          memory: await onCore(async () => (intents = (await run(memory)).report.intents.count)), stored: await timed(() => run(stored)),
        };
        // The first round only warms up.
        if (round > 0) for (const name of Object.keys(times) as (keyof typeof times)[]) times[name].push(took[name]);
      }
      const perSecond = (ms: readonly number[]): number => rows / (median(ms) / 1000);
      results.push({
        what, rows, intents, perSecond: perSecond(times.memory), storedPerSecond: perSecond(times.stored), iterationPerSecond: perSecond(times.iteration),
        smaPerSecond: perSecond(times.sma), ofSma: median(times.sma.map((ms, i) => ms / times.memory[i]!)),
      });
    }
    return results;
  } finally {
    await pool.end();
    await stage.close();
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

/** ms of processor time, collector and compiler included: what a core that does nothing else would take. */
async function onCore(work: () => unknown): Promise<number> {
  const from = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}

/** For the terminal. */
export function backtestTables(results: readonly BacktestResult[]): { result: BacktestResult; rows: Record<string, string | number>[] }[] {
  return results.map((result) => ({
    result,
    rows: [{
      'sma-cross over': result.what, rows: result.rows, intents: result.intents,
      [`replayed/s of a core (≥ ${result.what === 'candles' ? '1,000,000' : '300,000'})`]: rate(result.perSecond),
      'from PostgreSQL/s': rate(result.storedPerSecond), 'bare iteration/s': rate(result.iterationPerSecond),
      'two averages/s': rate(result.smaPerSecond), 'of two averages': `${(result.ofSma * 100).toFixed(0)} %`,
    }],
  }));
}

/** A price that wanders about as a coin's does in a minute: 0.05 % a step, on the tick. */
async function fill(pool: ReturnType<typeof createPool>, rows: number): Promise<void> {
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, kind, base, quote, settle, inverse, tick_size, min_amount, amount_step)
    VALUES ($1, $2, $1, 'open', 'perpetual', 'BTC', 'USD', 'BTC', true, 0.5, 10, 10)`, [MARKET, SYMBOL]);
  const day = Math.floor(FROM / 86_400_000_000);
  await ensureDayPartitions(pool, 'public_trades', day, day + Math.ceil(rows / TRADES_PER_MINUTE / 1440));
  const prices = walk(rows);
  for (let at = 0; at < rows; at += PIECE) {
    const piece = prices.subarray(at, at + PIECE);
    await pool.query(`INSERT INTO ohlc SELECT 1, '1m', timestamptz 'epoch' + ($1::int8 + n * ${MINUTE}) * interval '1 microsecond', p, p + 20, p - 20, p,
        12.5, 86000.5, 57, true, 'rest', now() FROM unnest($2::float8[]) WITH ORDINALITY AS t(f, ordinality),
        LATERAL (SELECT f::numeric AS p, ordinality - 1 AS n) AS x`,
    [FROM + at * MINUTE, [...piece]]);
    await pool.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
      SELECT 1, $3::int8 + n, timestamptz 'epoch' + ($1::int8 + n * ${MINUTE / TRADES_PER_MINUTE}) * interval '1 microsecond', now(), 'buy',
        ($3::int8 + n)::text, f::numeric, 100
      FROM unnest($2::float8[]) WITH ORDINALITY AS t(f, ordinality), LATERAL (SELECT ordinality - 1 AS n) AS x`,
    [FROM + (at * MINUTE) / TRADES_PER_MINUTE, [...piece], at]);
  }
  await pool.query('VACUUM ANALYZE ohlc, public_trades');
}

function walk(rows: number): Float64Array {
  const found = new Float64Array(rows);
  let ticks = 170_000;
  let state = 7;
  for (let i = 0; i < rows; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    ticks = Math.max(20_000, ticks + Math.round((state / 4_294_967_296 - 0.5) * ticks * 0.0017));
    found[i] = ticks / 2;
  }
  return found;
}

async function* none(): AsyncGenerator<never, void, undefined> {
  // No quotes.
}

async function* from<T extends CandleChunk | TradeChunk>(pieces: readonly T[]): AsyncGenerator<T, void, undefined> {
  for (const piece of pieces) yield await Promise.resolve(piece);
}

async function all<T>(pieces: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const piece of pieces) found.push(piece);
  return found;
}

function iterate(columns: readonly Float64Array[]): number {
  let sum = 0;
  for (const column of columns) for (const value of column) sum += value;
  return sum;
}

/** Both averages by running sums, and how often they cross: the least that the strategy must do. */
function averages(columns: readonly Float64Array[]): number {
  const { fast, slow } = PARAMS;
  const ring = new Float64Array(slow);
  let [at, seen, fastSum, slowSum, side, crossed] = [0, 0, 0, 0, 0, 0];
  for (const column of columns) {
    for (const close of column) {
      fastSum += close - ring[at < fast ? at - fast + slow : at - fast]!;
      slowSum += close - ring[at]!;
      ring[at] = close;
      at = at + 1 === slow ? 0 : at + 1;
      if (++seen < slow) continue;
      const now = fastSum * slow > slowSum * fast ? 1 : -1;
      if (now !== side) crossed++;
      side = now;
    }
  }
  return crossed;
}
