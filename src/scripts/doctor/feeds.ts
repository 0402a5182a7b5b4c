// doctor: the exchanges' clocks, the age of what we have of them, the stream's lag, dead letters and states.
import type { Redis } from 'ioredis';
import { feedAges } from '../../bus/feed_age.ts';
import { peekState } from '../../bus/state.ts';
import { dlqStreamMarketDataKey, streamMarketDataKey } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { age, fail, ok, warn, type Finding } from '../../core/finding.ts';
import { clockOffset } from '../../exchanges/clock_offset.ts';
import type { MarketConfig } from '../../runtime/env.ts';

const GROUP = 'distributor';
/** Signed requests are refused by exchanges beyond a second or so; timestamps mislead long before. */
const OFFSET_WARN_MS = 500;
const OFFSET_FAIL_MS = 5_000;
const FEED_WARN_MS = 30_000;
const FEED_FAIL_MS = 300_000;
const LAG_WARN = 10_000;

/** Our clock against the exchange's, half a round trip allowed for. */
export async function clockFinding(market: MarketConfig, clock: Clock): Promise<Finding> {
  const name = `clock ${market.marketId}`;
  const { offsetMs, roundTripMs } = await clockOffset(market, clock);
  const detail = `${offsetMs >= 0 ? '+' : ''}${Math.round(offsetMs)} ms against ${market.restUrl} (round trip ${Math.round(roundTripMs)} ms)`;
  if (Math.abs(offsetMs) < OFFSET_WARN_MS + roundTripMs / 2) return ok(name, detail);
  const level = Math.abs(offsetMs) < OFFSET_FAIL_MS ? warn : fail;
  return level(name, detail, 'synchronise this machine\'s clock (chrony or systemd-timesyncd)');
}

/** Age of the newest thing received of each market: ticker hashes, else the end of the stream. */
export async function feedFindings(redis: Redis, stream: Redis, markets: readonly MarketConfig[], clock: Clock): Promise<Finding[]> {
  const ages = await feedAges(redis, stream, markets.map(({ marketId }) => marketId));
  return [...ages].map(([marketId, { wanted, newestMicros: newest }]) => {
    const name = `feed ${marketId}`;
    const remedy = 'is the receiver running? see its /readyz and log';
    if (newest === 0) return fail(name, `nothing received yet (${wanted} subscriptions wanted)`, remedy);
    const ageMs = (clock.nowMicros() - newest) / 1000;
    const detail = `last message ${age(ageMs)} ago, ${wanted} subscriptions wanted`;
    if (ageMs < FEED_WARN_MS) return ok(name, detail);
    return (ageMs < FEED_FAIL_MS ? warn : fail)(name, detail, remedy);
  });
}

/** What waits between Redis and PostgreSQL. */
export async function streamFinding(stream: Redis): Promise<Finding> {
  const length = await stream.xlen(streamMarketDataKey);
  const groups = length === 0 ? [] : ((await stream.xinfo('GROUPS', streamMarketDataKey)) as unknown[][]);
  const group = groups.find((pairs) => pairs[pairs.indexOf('name') + 1] === GROUP);
  const remedy = 'is a distributor running? npm start -- distributor; more of them share the work';
  if (group === undefined) return warn('stream', `${length} entries, no group ${GROUP} yet`, remedy);
  const value = (name: string): unknown => group[group.indexOf(name) + 1];
  const [pending, lag] = [Number(value('pending')), value('lag')];
  const detail = `${length} entries, ${pending} pending, ${typeof lag === 'number' ? `${lag} unread` : 'lag unknown'}`;
  return pending + (typeof lag === 'number' ? lag : 0) > LAG_WARN ? warn('stream', detail, remedy) : ok('stream', detail);
}

export async function deadLetterFinding(stream: Redis): Promise<Finding> {
  const count = await stream.xlen(dlqStreamMarketDataKey);
  return count === 0 ? ok('dead letters', 'none') : warn('dead letters', `${count}`, 'npm run dlq -- list (docs/runbooks/poison-pill.md)');
}

export async function stateFinding(redis: Redis, exchange: string): Promise<Finding> {
  const name = `state ${exchange}`;
  const { state, meta } = await peekState(redis, exchange);
  if (state === null) return fail(name, 'none', 'start the janitor: npm start -- janitor');
  const detail = `${state} (${meta['reason'] ?? 'no reason given'})`;
  return state === 'HEALTHY' || state === 'AUDITING' ? ok(name, detail) : warn(name, detail, 'see the reason; a LOCKED exchange needs an operator');
}
