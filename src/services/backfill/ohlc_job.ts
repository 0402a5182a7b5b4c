// Fetches final candles page by page. Each page and how far the job has come are one transaction: a worker that takes the job
// over goes on there, and no page is stored twice or skipped. A forming candle is never stored as final: it is not stored at all.
import type { OhlcJob } from '../../contracts/index.ts';
import type { Candle } from '../../exchanges/exchange.ts';
import { marketOf } from '../../exchanges/registry.ts';
import { findProgress, saveProgress } from '../../store/backfill_jobs.ts';
import { transaction } from '../../store/connect.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import { upsertOhlc } from '../../store/ohlc.ts';
import { DeadJobError, NotYetError, type JobContext } from './job.ts';

const DAY = 86_400_000_000;
const MAX_SPAN = 731 * DAY;

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
    const page = await rest.candles(symbol, resolution, progress.nextTs, end);
    ctx.metrics.pages.inc({ market_id: marketId, kind: 'candles' });
    progress = await storePage(job, ctx, known.instrumentId, page.items, page.complete);
  }
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
    const changed = await upsertOhlc(client, rows);
    await saveProgress(client, job.job_id, progress, changed);
    return changed;
  });
  if (stored > 0) ctx.metrics.rows.inc({ table: 'ohlc' }, stored);
  return progress;
}
