// The data checks: what must be right before an exchange may be HEALTHY, whoever decides it, the governor or an operator.
import type { Redis } from 'ioredis';
import { feedAges, type FeedAge } from '../../bus/feed_age.ts';
import { groupLagMs } from '../../bus/stream_lag.ts';
import { dlqStreamMarketDataKey } from '../../contracts/index.ts';
import { age, fail, ok, warn, type Finding } from '../../core/finding.ts';
import { countFindings } from '../../store/audits.ts';
import type { Pool } from '../../store/connect.ts';
import { countGapsOf, type GapCounts } from '../../store/gaps.ts';
import { countTradable } from '../../store/instruments.ts';
import { migrationStatus } from '../../store/migrate.ts';

export interface CheckParts {
  pool: Pool;
  redis: Redis;
  /** Redis of stream:market_data. */
  stream: Redis;
  exchange: string;
  /** Its markets that are served. */
  marketIds: readonly string[];
  nowMicros: number;
}

const GROUP = 'distributor';
/** A gap that nobody could close for so long is no gap that is just being healed. */
const GAP_PATIENCE_MINUTES = 10;
const MAX_LAG_MS = 60_000;
/** As the receiver's own readiness: a market in which nothing at all moves for so long is no market, or no feed. */
const MAX_FEED_AGE_MS = 60_000;

/** All checks, in the order in which they are worth reading. Rejects when a server does not answer. */
export async function dataChecks({ pool, redis, stream, exchange, marketIds, nowMicros }: CheckParts): Promise<Finding[]> {
  const { pending, unknown } = await migrationStatus(pool);
  // What else there is to see needs the tables of this build.
  if (pending.length + unknown.length > 0)
    return [fail('schema', `pending ${pending.join(', ') || 'none'}; unknown ${unknown.join(', ') || 'none'}`, 'npm run migrate -- up')];
  const tradable = await countTradable(pool, exchange);
  const feeds = await feedAges(redis, stream, marketIds, nowMicros - MAX_FEED_AGE_MS * 1_000);
  const letters = await stream.xlen(dlqStreamMarketDataKey);
  return [
    ok('schema', 'at head'),
    tradable > 0 ? ok('instruments', `${tradable} tradable`) : fail('instruments', 'none is tradable', 'run the janitor: npm start -- janitor'),
    gapFinding(await countGapsOf(pool, exchange, GAP_PATIENCE_MINUTES)),
    ...[...feeds].map(([marketId, feed]) => feedFinding(marketId, feed, nowMicros)),
    lagFinding(await groupLagMs(stream, GROUP)),
    auditFinding(await countFindings(pool, exchange)),
    letters === 0 ? ok('dead letters', 'none') : warn('dead letters', String(letters), 'look at them: npm run dlq -- list'),
  ];
}

function gapFinding({ old, young, unfillable }: GapCounts): Finding {
  const detail = `${young} being healed, ${old} open for more than ${GAP_PATIENCE_MINUTES} minutes, ${unfillable} unfillable`;
  if (old > 0) return fail('gaps', detail, 'are governor and backfill running? npm run completeness tells what is missing and why');
  return unfillable > 0 ? warn('gaps', detail, 'npm run completeness tells what is missing and why') : ok('gaps', detail);
}

function feedFinding(marketId: string, { wanted, newestMicros }: FeedAge, nowMicros: number): Finding {
  const name = `feed ${marketId}`;
  const remedy = 'is the receiver running? see its /readyz and log';
  if (wanted === 0) return warn(name, 'nothing is subscribed', remedy);
  if (newestMicros === 0) return fail(name, 'nothing received yet', remedy);
  const ageMs = Math.max(0, (nowMicros - newestMicros) / 1_000);
  const detail = `last message ${age(ageMs)} ago`;
  return ageMs > MAX_FEED_AGE_MS ? fail(name, detail, remedy) : ok(name, detail);
}

function lagFinding(lag: number | 'no stream' | 'no group'): Finding {
  if (lag === 'no stream') return warn('stream', 'empty: no receiver has written yet', 'start a receiver');
  if (lag === 'no group') return fail('stream', 'no distributor has ever read it', 'start a distributor');
  return lag > MAX_LAG_MS
    ? fail('stream', `the distributor is ${age(lag)} behind`, 'wait until it has caught up, or start another one')
    : ok('stream', `the distributor is ${age(lag)} behind`);
}

function auditFinding({ queued, unexplained }: { queued: number; unexplained: number }): Finding {
  const remedy = 'the table audit_findings tells which';
  if (queued > 0) return fail('audit', `${queued} differences are being repaired`, remedy);
  return unexplained > 0 ? warn('audit', `${unexplained} differences of the last audit are unexplained`, remedy) : ok('audit', 'no open difference');
}
