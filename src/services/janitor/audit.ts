// A historical audit: what is stored of an exchange, our own trades included, against what the exchange says, and against itself. HEALTHY → AUDITING while
// it runs; where it leads then is in audit_policy.ts. An exchange in any other state is audited as well (before an unlock, say) and
// keeps its state, unless a difference locks it.
import type { Redis } from 'ioredis';
import { fleetBudget } from '../../bus/budget.ts';
import { emitEvent } from '../../bus/events.ts';
import { peekState } from '../../bus/state.ts';
import { subscriptionsKey, type AuditJob, type Resolution, type SystemState } from '../../contracts/index.ts';
import { dayOfMicros, dayText } from '../../core/days.ts';
import { toError } from '../../core/errors.ts';
import { budgetedRest } from '../../exchanges/budgeted.ts';
import type { MarketRest } from '../../exchanges/exchange.ts';
import { resolutionMs } from '../../exchanges/rest_reader.ts';
import { ExchangeHttpError } from '../../net/http.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { storedSeries, type Series } from '../../store/audit_scope.ts';
import { beginAudit, endAudit, insertFindings, type AuditFinding } from '../../store/audits.ts';
import type { Pool } from '../../store/connect.ts';
import { auditCandles, type CandleAudit, type Compared } from './audit_candles.ts';
import { FAILED, outcomeOf, type Outcome } from './audit_policy.ts';
import { auditOwnTrades, type OwnCompared } from './audit_own.ts';
import { auditCoverage, auditTrades, incompleteDays } from './audit_trades.ts';
import { moveState } from './move.ts';
import { pause, retry } from './retry.ts';

export interface AuditParts {
  redis: Redis;
  pool: Pool;
  /** All that are served. */
  exchanges: readonly string[];
  /** What is younger than this may still be on its way, ms. */
  settleMs: number;
}

export type AuditAnswer = Outcome & { readonly runId: string; readonly detail: string };

interface Found {
  compared: number;
  findings: AuditFinding[];
  /** Series that the exchange refuses to tell of. */
  refused: string[];
  /** Own trades. */
  own: Pick<OwnCompared, 'compared' | 'doubts'>;
}

interface Window extends Pick<CandleAudit, 'since' | 'until' | 'keep'> {
  exchange: string;
  askedAt: number;
}

const BY = 'audit';
const HOUR = 3_600_000_000;
/** A candle closes, is told, travels and is committed within this, ms; also REST may be late. */
const CANDLE_SETTLE_MS = 90_000;
const ATTEMPTS = 6;

/**
 * Audits what was stored of an exchange since `hours` ago; each difference is a row of audit_findings. Rejects with what kept it
 * from its end (the exchange or a server that does not answer): the run is `failed` then, and may be asked for again.
 */
export async function runHistoricalAudit(ctx: ServiceContext, parts: AuditParts, job: AuditJob): Promise<AuditAnswer> {
  const { pool } = parts;
  const { exchange, hours, by, reason, asked_at: askedAt } = job;
  const untilMicros = ctx.clock.nowMicros();
  const sinceMicros = untilMicros - hours * HOUR;
  const runId = await beginAudit(pool, { exchange, sinceMicros, untilMicros, askedAt, by, reason });
  await move(parts, ctx, exchange, 'HEALTHY', 'AUDITING', `audit ${runId}: ${reason}`);
  try {
    const keep: CandleAudit['keep'] = (db, findings) => insertFindings(db, runId, exchange, findings, ctx.clock.nowMicros());
    const found = await compare(ctx, parts, { exchange, since: sinceMicros, until: untilMicros, askedAt, keep });
    const outcome = outcomeOf(found.findings);
    const detail = describe(found);
    await leave(ctx, parts, exchange, { runId, ...outcome, detail }, found.compared);
    return { ...outcome, runId, detail };
  } catch (thrown) {
    // We are leaving: whoever takes the job over goes on.
    if (ctx.signal.aborted) throw thrown;
    const detail = toError(thrown).message;
    await leave(ctx, parts, exchange, { runId, ...FAILED, detail }, 0);
    throw thrown;
  }
}

async function compare(ctx: ServiceContext, parts: AuditParts, { exchange, since, until, askedAt, keep }: Window): Promise<Found> {
  const { pool, redis, settleMs } = parts;
  const markets = ctx.config.markets.filter((market) => market.exchange === exchange);
  // First: an executor whose positions differ waits for it, and locks after a while.
  const { findings: first, ...own } = await auditOwnTrades({
    pool, marketIds: markets.map(({ marketId }) => marketId), since, until: until - settleMs * 1_000, askedAt, keep, nowMicros: () => ctx.clock.nowMicros(),
    signal: ctx.signal,
  });
  const found: Found = { compared: 0, findings: first, refused: [], own };
  const note = async (findings: AuditFinding[]): Promise<void> => {
    await keep(pool, findings);
    found.findings.push(...findings);
  };
  const rest = restOf(ctx, redis);
  const settled = until - Math.max(settleMs, CANDLE_SETTLE_MS) * 1_000;
  const resolutions = ctx.config.resolutions.filter((resolution): resolution is Exclude<Resolution, '1M'> => resolution !== '1M');
  for (const { marketId } of markets) {
    const scope = { marketId, symbol: null, from: dayText(dayOfMicros(since)), to: dayText(dayOfMicros(until)) };
    await note(await auditCoverage(pool, scope, () => pause(settleMs, ctx.signal, 'audit')));
    const incomplete = await incompleteDays(pool, scope);
    const wanted = new Set(await redis.smembers(subscriptionsKey(marketId)));
    for (const series of await storedSeries(pool, [marketId], resolutions)) {
      ctx.signal.throwIfAborted();
      const seconds = resolutionMs(series.resolution as (typeof resolutions)[number]) / 1_000;
      const [from, to] = owed(series, seconds, since, settled, wanted.has(`ohlc:${series.symbol}`));
      if (from >= to) continue;
      const told = await candlesOf(ctx, rest(marketId), { pool, series, since: from, until: to, keep });
      if (told === null) found.refused.push(`${marketId} ${series.symbol}`);
      else {
        found.compared += told.compared;
        found.findings.push(...told.findings);
      }
      await note(await auditTrades(pool, series, seconds, from, to, incomplete));
    }
  }
  return found;
}

/** From the first stored candle on, up to the last that is final by now; up to the last stored one where none is wanted any more. */
function owed(series: Series, seconds: number, since: number, settled: number, isWanted: boolean): [number, number] {
  const width = seconds * 1_000_000;
  const closed = Math.floor(settled / width) * width;
  return [Math.max(since, series.firstTs), isWanted ? closed : Math.min(closed, series.lastTs + 1)];
}

/** null when the exchange refuses to tell of the instrument (it is gone, say): no proof of anything. */
async function candlesOf(
  ctx: ServiceContext, rest: MarketRest | undefined, audit: Omit<CandleAudit, 'ask' | 'nowMicros'>,
): Promise<Compared | null> {
  if (rest === undefined) return null;
  const { series: { marketId, symbol }, until } = audit;
  const isRefusal = (error: unknown): boolean => error instanceof ExchangeHttpError && error.kind === 'refused';
  const options = {
    what: `candles of ${marketId} ${symbol}`, attempts: ATTEMPTS,
    worthRepeating: (error: Error) => error instanceof ExchangeHttpError && !isRefusal(error),
  };
  try {
    return await auditCandles({
      ...audit, nowMicros: () => ctx.clock.nowMicros(),
      ask: (resolution, from) => retry(ctx, options, () => rest.candles(symbol, resolution, from, until)),
    });
  } catch (error) {
    if (isRefusal(toError(error).cause)) return null;
    throw error;
  }
}

/** In the lane before gap repair and backfill: an answer is waited for. */
function restOf({ config, clock, signal, random }: ServiceContext, redis: Redis): ReturnType<typeof budgetedRest> {
  const { markets } = config;
  return budgetedRest({
    markets, redis, budgetOf: fleetBudget, lane: 'reconcile', clock, signal, random,
    onBan: ({ marketId, exchange, ms, reason }) => {
      const ts = clock.nowMicros();
      // A hint: what it tells is in the budget already.
      emitEvent(redis, {
        event_id: `rate.banned:audit:${marketId}:${ts}`, type: 'rate.banned', severity: 'warning', market_id: marketId, ts, data: { exchange, ms, reason },
      }).catch(() => undefined);
    },
  });
}

async function move(
  parts: AuditParts, { clock }: ServiceContext, exchange: string, from: 'HEALTHY' | 'AUDITING' | 'RECONCILING', to: SystemState, reason: string,
): Promise<boolean> {
  const seen = await peekState(parts.redis, exchange);
  if (seen.state !== from || seen.meta['state'] !== from) return false;
  return (await moveState({ ...parts, clock }, { exchange, seen, expected: from, to, by: BY, reason })).ok;
}

/** Out of AUDITING, then the answer; a state that somebody has set meanwhile stands. */
async function leave(
  ctx: ServiceContext, parts: AuditParts, exchange: string, { runId, verdict, state, detail }: AuditAnswer, compared: number,
): Promise<void> {
  const reason = `audit ${runId} ${verdict}: ${detail}`;
  const moved = await move(parts, ctx, exchange, 'AUDITING', state, reason);
  if (!moved && state === 'LOCKED') await move(parts, ctx, exchange, 'RECONCILING', state, reason);
  await endAudit(parts.pool, runId, verdict, compared, detail);
  ctx.log[verdict === 'good' ? 'info' : 'warn']({ exchange, run: runId, verdict, detail }, 'audit ended');
  const ts = ctx.clock.nowMicros();
  await emitEvent(parts.redis, {
    event_id: `audit.finished:${exchange}:${runId}`, type: 'audit.finished', severity: verdict === 'good' ? 'info' : 'warning', ts,
    data: { exchange, run_id: runId, verdict, state, detail },
  });
}

/** `1440 candles compared, 3 differences: 2 candle_missing repaired, 1 trades_differ explained`. */
function describe({ compared, findings, refused, own }: Found): string {
  const groups = Map.groupBy(findings, ({ kind, resolution }) => `${kind} ${resolution}`);
  const parts = [...groups].map(([name, group]) => `${group.length} ${name}`);
  const total = findings.length === 0 ? 'no difference' : `${findings.length} differences: ${parts.join(', ')}`;
  const silent = refused.length === 0 ? '' : `; the exchange refuses to tell of ${refused.slice(0, 3).join(', ')}${refused.length > 3 ? ' …' : ''}`;
  const trades = own.compared === 0 ? '' : ` and ${own.compared} own trades`;
  const doubts = own.doubts.length === 0 ? '' : `; ${[...new Set(own.doubts)].slice(0, 3).join('; ')}`;
  return `${compared} candles${trades} compared, ${total}${silent}${doubts}`;
}
