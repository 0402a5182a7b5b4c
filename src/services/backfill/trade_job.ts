// Heals a run of trades: fetches what trade_coverage says is missing, page by page by sequence number, and stores each page in a
// transaction that also keeps the coverage. So what is stored is the checkpoint: a job done again fetches only the rest.
// Gaps are settled in the transaction of the page that holds their last trade.
import type { TradeJob } from '../../contracts/index.ts';
import { dayOfMicros } from '../../core/days.ts';
import type { RestTrade } from '../../exchanges/exchange.ts';
import { sqlState, transaction, type Client } from '../../store/connect.ts';
import { subtractRanges } from '../../store/coverage.ts';
import { markHealed, missingInGaps, missingRanges, settleGaps, type SettledGap } from '../../store/gaps.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import { planTrades, type SeqRange } from '../../store/trade_plan.ts';
import { TradeTable } from '../../store/trade_table.ts';
import { storeTrades, type TradeOutcome } from '../../store/trades.ts';
import { DeadJobError, NotYetError, type JobContext, type JobParts } from './job.ts';

/** A day of the busiest symbol is some millions. */
const MAX_SPAN = 50_000_000;
/** Holes so near to each other are asked for at once: a page of the exchange holds as many trades. */
const PAGE_SPAN = 1_000;
/** A trade that REST does not know a moment after it was made may come; after so many attempts, some ten seconds, it never does. */
const PATIENCE = 6;
const UNIQUE_VIOLATION = '23505';

/** A day's partition that was known was dropped. */
const UNDEFINED_TABLE = '42P01';

const NOT_THERE = 'the exchange does not have the rest';
const OUTDATED = 'of a day older than TRADES_RETENTION_DAYS keeps';

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
  // What was asked for and is still missing after its page: not there, or in conflict with what is stored, or of a day gone by.
  const asked: SeqRange[] = [];
  const outdated: SeqRange[] = [];
  let left = await missingOf(ctx.pool, instrumentId, from, to);
  announce(ctx, job, await settle(ctx.pool, left, null));
  for (let [range] = left; range !== undefined; [range] = left) {
    ctx.signal.throwIfAborted();
    const [start] = range;
    const end = Math.max(range[1], ...left.filter(([, last]) => last - start < PAGE_SPAN).map(([, last]) => last));
    const page = await rest.trades(symbol, start, end);
    ctx.gotPage('trades');
    const last = page.items.at(-1);
    if (last === undefined && !page.complete) throw new NotYetError(`trades of ${symbol} from ${start}: an empty page that claims there is more`);
    asked.push([start, page.complete ? end : Math.min(end, endOf(last))]);
    const { kept, gone } = sift(page.items, ctx.days.keptFrom);
    outdated.push(...gone);
    if (gone.length > 0 && job.gaps !== true) throw new DeadJobError('range', `from_seq: ${gone[0]![0]} is ${OUTDATED}`);
    const stored = await storePage(ctx, instrumentId, { items: kept, gaps: job.gaps === true ? left : [] }, async (client) => {
      const missing = await missingOf(client, instrumentId, from, to);
      const open = missing.flatMap((one) => subtractRanges(one, asked));
      const lost = open.length > 0 ? [] : missing.flatMap((one) => subtractRanges(one, outdated));
      const why = open.length > 0 || missing.length === 0 ? null : whyLost(job, lost.length > 0, outdated.length > 0);
      return { open, lost, settled: await settle(client, missing, why) };
    });
    announce(ctx, job, stored.settled);
    left = stored.open;
    if (stored.lost.length > 0 && job.attempts < PATIENCE) throw new NotYetError(`${symbol} ${from}..${to}: ${NOT_THERE} yet`);
  }
}

const endOf = (trade: RestTrade | undefined): number => trade?.seq_last ?? trade?.seq ?? 0;

/** Why the gaps that are left stay as they are; null while the exchange may still tell of them. */
function whyLost({ attempts }: TradeJob, isLost: boolean, isOutdated: boolean): string | null {
  if (isLost && attempts < PATIENCE) return null;
  return [...(isLost ? [NOT_THERE] : []), ...(isOutdated ? [OUTDATED] : [])].join('; ');
}

/** Trades of days that are kept, and the numbers of the others. */
function sift(items: readonly RestTrade[], keptFrom: number): { kept: RestTrade[]; gone: SeqRange[] } {
  const kept: RestTrade[] = [];
  const gone: SeqRange[] = [];
  for (const item of items) {
    if (dayOfMicros(item.exchange_ts) >= keptFrom) kept.push(item);
    else if (item.seq !== null) lengthen(gone, [item.seq, endOf(item)]);
  }
  return { kept, gone };
}

/** Adds a range that lies behind all others; adjacent ones become one. */
function lengthen(ranges: SeqRange[], range: SeqRange): void {
  const last = ranges.at(-1);
  if (last !== undefined && last[1] + 1 === range[0]) ranges[ranges.length - 1] = [last[0], range[1]];
  else ranges.push(range);
}

/** Gives up the job's gaps, except those that are filled by now: `error` is what the exchange will never mend. */
export async function giveUpGaps(job: TradeJob, error: string, ctx: JobParts): Promise<void> {
  const { market_id: marketId, symbol, from_seq: from, to_seq: to } = job;
  // No gap lies in a range that ends before it begins.
  const [known] = job.gaps === true && from <= to ? await findInstrumentIds(ctx.pool, [{ marketId, symbol }]) : [];
  if (known === undefined) return;
  const missing = await missingInGaps(ctx.pool, known.instrumentId, from, to);
  announce(ctx, job, await settleGaps(ctx.pool, known.instrumentId, [from, to], missing, error));
}

/** After the commit. */
function announce(ctx: JobParts, job: TradeJob, settled: readonly SettledGap[]): void {
  for (const { gapId, fromSeq, toSeq, status, recovered } of settled) {
    ctx.metrics.gaps.inc({ status });
    ctx.events.emit({
      type: status === 'closed' ? 'gap.closed' : 'gap.unfillable', severity: status === 'closed' ? 'info' : 'warning',
      market_id: job.market_id, symbol: job.symbol, data: { gap_id: gapId, from_seq: fromSeq, to_seq: toSeq, recovered },
    });
  }
}

/** Stores trades, notes which of them heal `gaps`, and runs `after` in the same transaction. */
async function storePage<T>(
  ctx: JobContext, instrumentId: number, { items, gaps }: { items: readonly RestTrade[]; gaps: readonly SeqRange[] }, after: (client: Client) => Promise<T>,
): Promise<T> {
  const receivedTs = ctx.nowMicros();
  const rows = items.map((item) => ({ instrumentId, message: { v: 1 as const, type: 'trade' as const, received_ts: receivedTs, ...item } }));
  const plan = planTrades(TradeTable.of(rows));
  const partitionDays = await ctx.days.withPartitions(items.map((item) => dayOfMicros(item.exchange_ts)));
  const attempt = (careful: boolean): Promise<{ outcome: TradeOutcome; value: T }> => transaction(ctx.pool, async (client) => {
    const fresh = new Map<number, SeqRange[]>();
    const onNew = (day: number, range: SeqRange): void => lengthen(getOr(fresh, day), range);
    const outcome = await storeTrades(client, plan, { partitionDays, careful, ...(gaps.length > 0 ? { onNew } : {}) });
    for (const [day, ranges] of fresh) await markHealed(client, instrumentId, day, ranges, gaps);
    return { outcome, value: await after(client) };
  });
  const { outcome, value } = await attempt(false).catch((error: unknown) => {
    // Stored but not covered: the slower way compares, and repairs the coverage.
    if (sqlState(error) === UNIQUE_VIOLATION) return attempt(true);
    if (sqlState(error) === UNDEFINED_TABLE) ctx.days.forget();
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

function getOr(map: Map<number, SeqRange[]>, key: number): SeqRange[] {
  const found = map.get(key) ?? [];
  map.set(key, found);
  return found;
}
