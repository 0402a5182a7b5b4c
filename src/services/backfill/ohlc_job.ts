// Fetches final candles page by page. Each page and how far the job has come are one transaction: a worker that takes the job
// over goes on there, and no page is stored twice or skipped. A forming candle is never stored as final: it is not stored at all.
// A page with holes is asked for again before it is believed: an exchange that has a bad moment tells less than it has.
import { setTimeout as sleep } from 'node:timers/promises';
import type { OhlcJob } from '../../contracts/index.ts';
import type { Candle, MarketRest, Page } from '../../exchanges/exchange.ts';
import { marketOf } from '../../exchanges/registry.ts';
import { resolutionMs } from '../../exchanges/rest_reader.ts';
import { findProgress, saveProgress } from '../../store/backfill_jobs.ts';
import { transaction } from '../../store/connect.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import { storeHistory } from '../../store/ohlc.ts';
import { DeadJobError, NotYetError, type JobContext } from './job.ts';

const DAY = 86_400_000_000;
const MAX_SPAN = 731 * DAY;
/** How long after each other a page with holes is asked for again. Before a listing and in a maintenance there are holes for good. */
const AGAIN_MS = [300, 1_000, 3_000];

/** Rejects with DeadJobError, NotYetError, or the error of the exchange or the database: then it may be done again. */
export async function runOhlcJob(job: OhlcJob, ctx: JobContext): Promise<void> {
  const { market_id: marketId, symbol, resolution, start, end } = job;
  if (end <= start) throw new DeadJobError('range', `end: ${end} is not after start ${start}`);
  if (end - start > MAX_SPAN) throw new DeadJobError('range', `end: ${start}..${end} is more than ${MAX_SPAN / DAY} days`);
  const rest = ctx.rest(marketId);
  if (rest === undefined) throw new DeadJobError('unknown_market', `market_id: ${JSON.stringify(marketId)} is not served here`);
  if (marketOf(marketId)?.candleResolutions.includes(resolution) !== true)
    throw new DeadJobError('range', `resolution: ${marketId} has no candles of ${resolution}`);
  const [known] = await findInstrumentIds(ctx.pool, [{ marketId, symbol }]);
  if (known === undefined) throw new DeadJobError('unknown_symbol', `symbol: ${JSON.stringify(symbol)} is not an instrument of ${marketId}`);
  let progress = (await findProgress(ctx.pool, job.job_id)) ?? { nextTs: start, done: false };
  while (!progress.done) {
    ctx.signal.throwIfAborted();
    const page = await believable(job, ctx, rest, progress.nextTs);
    progress = await storePage(job, ctx, known.instrumentId, page.items, page.complete);
  }
}

/** The page from `from` on; what several answers tell together, when the first has holes. */
async function believable(job: OhlcJob, ctx: JobContext, rest: MarketRest, from: number): Promise<Page<Candle>> {
  const ask = async (): Promise<Page<Candle>> => {
    const page = await rest.candles(job.symbol, job.resolution, from, job.end);
    ctx.gotPage('candles');
    return page;
  };
  let page = await ask();
  for (const wait of AGAIN_MS) {
    if (!hasHoles(page, job, from, ctx.nowMicros())) break;
    await sleep(wait, undefined, { signal: ctx.signal });
    const other = await ask();
    const items = new Map([...page.items, ...other.items].map((candle) => [candle.open_ts, candle]));
    page = { items: [...items.values()].sort((a, b) => a.open_ts - b.open_ts), complete: page.complete && other.complete };
  }
  return page;
}

/** Whether a candle that has closed by now is not told: in front, in between, or at the end of a page that claims to be the last. */
function hasHoles({ items, complete }: Page<Candle>, { resolution, end }: OhlcJob, from: number, now: number): boolean {
  if (resolution === '1M') return false;
  const width = resolutionMs(resolution) * 1_000;
  let next = from;
  for (const { open_ts: openTs } of items) {
    if (openTs - next >= width) return true;
    next = openTs + 1;
  }
  // The last one may have closed this moment.
  return complete && Math.min(end, now) - next >= 2 * width;
}

async function storePage(
  job: OhlcJob, ctx: JobContext, instrumentId: number, items: readonly Candle[], complete: boolean,
): Promise<{ nextTs: number; done: boolean }> {
  const last = items.at(-1);
  if (last === undefined && !complete) throw new NotYetError(`candles of ${job.symbol}: an empty page that claims there is more`);
  const receivedTs = ctx.nowMicros();
  const rows = items.filter((candle) => candle.closed).map((candle) => ({
    instrumentId, message: { v: 1 as const, type: 'ohlc' as const, received_ts: receivedTs, exchange_ts: receivedTs, ...candle },
  }));
  // Asked from right behind the last opening: whatever the resolution, nothing lies between.
  const progress = { nextTs: complete || last === undefined ? job.end : last.open_ts + 1, done: complete };
  const stored = await transaction(ctx.pool, async (client) => {
    const changed = await storeHistory(client, rows);
    await saveProgress(client, job.job_id, progress, changed);
    return changed;
  });
  if (stored > 0) ctx.metrics.rows.inc({ table: 'ohlc' }, stored);
  return progress;
}
