// Heals a run of trades: fetches what trade_coverage says is missing, page by page by sequence number, and stores each page in a
// transaction that also keeps the coverage. So what is stored is the checkpoint: a job done again fetches only the rest.
// Gaps are settled in the transaction of the page that holds their last trade.
import type { TradeJob } from '../../contracts/index.ts';
import type { RestTrade } from '../../exchanges/exchange.ts';
import { sqlState, transaction, type Client } from '../../store/connect.ts';
import { subtractRanges } from '../../store/coverage.ts';
import { missingInGaps, missingRanges, settleGaps, type SettledGap } from '../../store/gaps.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import { planTrades, type SeqRange } from '../../store/trade_plan.ts';
import { TradeTable } from '../../store/trade_table.ts';
import { storeTrades, type TradeOutcome } from '../../store/trades.ts';
import { DeadJobError, NotYetError, type JobContext } from './job.ts';

/** A day of the busiest symbol is some millions. */
const MAX_SPAN = 50_000_000;
/** Holes so near to each other are asked for at once: a page of the exchange holds as many trades. */
const PAGE_SPAN = 1_000;
/** A trade that REST does not know a moment after it was made may come; later it never does. */
const PATIENCE = 3;
const UNIQUE_VIOLATION = '23505';

const NOT_THERE = 'the exchange does not have the rest';

/** Rejects with DeadJobError, NotYetError, or the error of the exchange or the database: then it may be done again. */
export async function runTradeJob(job: TradeJob, ctx: JobContext): Promise<void> {
  const { market_id: marketId, symbol, from_seq: from, to_seq: to } = job;
  if (to < from) throw new DeadJobError('range', `to_seq: ${to} is below from_seq ${from}`);
  if (job.gaps !== true && to - from >= MAX_SPAN) throw new DeadJobError('range', `to_seq: ${from}..${to} are more than ${MAX_SPAN} trades`);
  const rest = ctx.rest(marketId);
  if (rest === undefined) throw new DeadJobError('unknown_market', `market_id: ${JSON.stringify(marketId)} is not served here`);
  const [known] = await findInstrumentIds(ctx.pool, [{ marketId, symbol }]);
  if (known === undefined) throw new DeadJobError('unknown_symbol', `symbol: ${JSON.stringify(symbol)} is not an instrument of ${marketId}`);
  const { instrumentId } = known;
  const missingOf = job.gaps === true ? missingInGaps : missingRanges;
  const settle = async (client: Pick<Client, 'query'>, missing: readonly SeqRange[], why: string | null): Promise<SettledGap[]> =>
    job.gaps === true ? settleGaps(client, instrumentId, [from, to], missing, why) : [];
  // What was asked for and is still missing after its page: not there, or in conflict with what is stored.
  const asked: SeqRange[] = [];
  let left = await missingOf(ctx.pool, instrumentId, from, to);
  announce(ctx, job, await settle(ctx.pool, left, null));
  for (let [range] = left; range !== undefined; [range] = left) {
    ctx.signal.throwIfAborted();
    const [start] = range;
    const end = Math.max(range[1], ...left.filter(([, last]) => last - start < PAGE_SPAN).map(([, last]) => last));
    const page = await rest.trades(symbol, start, end);
    ctx.metrics.pages.inc({ market_id: marketId, kind: 'trades' });
    const last = page.items.at(-1);
    if (last === undefined && !page.complete) throw new NotYetError(`trades of ${symbol} from ${start}: an empty page that claims there is more`);
    asked.push([start, page.complete ? end : Math.min(end, endOf(last))]);
    const stored = await storePage(ctx, instrumentId, page.items, async (client) => {
      const missing = await missingOf(client, instrumentId, from, to);
      const open = missing.flatMap((one) => subtractRanges(one, asked));
      const lost = open.length === 0 && missing.length > 0;
      return { missing, open, settled: await settle(client, missing, lost && job.attempts >= PATIENCE ? NOT_THERE : null) };
    });
    announce(ctx, job, stored.settled);
    left = stored.open;
    if (left.length === 0 && stored.missing.length > 0 && job.attempts < PATIENCE)
      throw new NotYetError(`${symbol} ${from}..${to}: ${NOT_THERE} yet`);
  }
}

const endOf = (trade: RestTrade | undefined): number => trade?.seq_last ?? trade?.seq ?? 0;

/** After the commit. */
function announce(ctx: JobContext, job: TradeJob, settled: readonly SettledGap[]): void {
  for (const { gapId, fromSeq, toSeq, status, recovered } of settled) {
    ctx.metrics.gaps.inc({ status });
    ctx.events.emit({
      type: status === 'closed' ? 'gap.closed' : 'gap.unfillable', severity: status === 'closed' ? 'info' : 'warning',
      market_id: job.market_id, symbol: job.symbol, data: { gap_id: gapId, from_seq: fromSeq, to_seq: toSeq, recovered },
    });
  }
}

/** Stores trades and runs `after` in the same transaction. */
async function storePage<T>(
  ctx: JobContext, instrumentId: number, items: readonly RestTrade[], after: (client: Client) => Promise<T>,
): Promise<T> {
  const receivedTs = ctx.nowMicros();
  const rows = items.map((item) => ({ instrumentId, message: { v: 1 as const, type: 'trade' as const, received_ts: receivedTs, ...item } }));
  const plan = planTrades(TradeTable.of(rows));
  const partitionDays = await ctx.partitionDays();
  const attempt = (careful: boolean): Promise<{ outcome: TradeOutcome; value: T }> => transaction(ctx.pool, async (client) => {
    const outcome = await storeTrades(client, plan, { partitionDays, careful });
    return { outcome, value: await after(client) };
  });
  const { outcome, value } = await attempt(false).catch((error: unknown) => {
    // Stored but not covered: the slower way compares, and repairs the coverage.
    if (sqlState(error) === UNIQUE_VIOLATION) return attempt(true);
    throw error;
  });
  if (outcome.stored > 0) ctx.metrics.rows.inc({ table: 'public_trades' }, outcome.stored);
  if (outcome.duplicates > 0) ctx.metrics.duplicates.inc(outcome.duplicates);
  for (const { error } of outcome.conflicts) {
    ctx.metrics.conflicts.inc();
    ctx.log.warn({ instrument_id: instrumentId, conflict: error }, 'the exchange tells a trade otherwise now; the stored one stays');
  }
  return value;
}
