// doctor: the exchanges' clocks, the age of what we have of them, the stream's lag, dead letters and states.
import type { Redis } from 'ioredis';
import { peekState } from '../../bus/state.ts';
import { dlqStreamMarketDataKey, streamMarketDataKey, subscriptionsKey, tickerKey } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { createHttp } from '../../net/http.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import { age, fail, ok, warn, type Finding } from './finding.ts';

const GROUP = 'distributor';
/** Signed requests are refused by exchanges beyond a second or so; timestamps mislead long before. */
const OFFSET_WARN_MS = 500;
const OFFSET_FAIL_MS = 5_000;
const FEED_WARN_MS = 30_000;
const FEED_FAIL_MS = 300_000;
const LAG_WARN = 10_000;
const TAIL = 2_000;

/** Our clock against the exchange's, half a round trip allowed for. */
export async function clockFinding(market: MarketConfig, clock: Clock): Promise<Finding> {
  const name = `clock ${market.marketId}`;
  const rest = MARKETS[market.marketId]?.rest(market.restUrl, createHttp({ timeoutMs: 5_000, maxBytes: 1 << 20, clock }));
  if (rest === undefined) return fail(name, 'unknown market', 'check MARKETS');
  const [before, wall] = [clock.monotonicMs(), clock.nowMicros()];
  const theirs = await rest.time();
  const roundTripMs = clock.monotonicMs() - before;
  const offsetMs = (wall - theirs) / 1000 + roundTripMs / 2;
  const detail = `${offsetMs >= 0 ? '+' : ''}${Math.round(offsetMs)} ms against ${market.restUrl} (round trip ${Math.round(roundTripMs)} ms)`;
  if (Math.abs(offsetMs) < OFFSET_WARN_MS + roundTripMs / 2) return ok(name, detail);
  const level = Math.abs(offsetMs) < OFFSET_FAIL_MS ? warn : fail;
  return level(name, detail, 'synchronise this machine\'s clock (chrony or systemd-timesyncd)');
}

/** Age of the newest thing received of each market: ticker hashes, else the end of the stream. */
export async function feedFindings(redis: Redis, stream: Redis, markets: readonly MarketConfig[], clock: Clock): Promise<Finding[]> {
  const tail = await newestInStream(stream);
  return Promise.all(markets.map(async ({ marketId }) => {
    const name = `feed ${marketId}`;
    const remedy = 'is the receiver running? see its /readyz and log';
    const wanted = await redis.smembers(subscriptionsKey(marketId));
    const symbols = wanted.filter((member) => member.startsWith('ticker:')).map((member) => member.slice('ticker:'.length));
    const times = await Promise.all(symbols.slice(0, 200).map((symbol) => redis.hget(tickerKey(marketId, symbol), 'received_ts')));
    const newest = Math.max(tail.get(marketId) ?? 0, ...times.map(Number));
    if (newest === 0) return fail(name, `nothing received yet (${wanted.length} subscriptions wanted)`, remedy);
    const ageMs = (clock.nowMicros() - newest) / 1000;
    const detail = `last message ${age(ageMs)} ago, ${wanted.length} subscriptions wanted`;
    if (ageMs < FEED_WARN_MS) return ok(name, detail);
    return (ageMs < FEED_FAIL_MS ? warn : fail)(name, detail, remedy);
  }));
}

/** By market; our own feed_status does not count: a silent market has those too. */
async function newestInStream(stream: Redis): Promise<Map<string, number>> {
  const newest = new Map<string, number>();
  for (const [, fields] of await stream.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', TAIL)) {
    const payload = fields[fields.indexOf('payload') + 1] ?? '';
    if (!/"type":"(?:trade|ticker|ohlc)"/.test(payload)) continue;
    const market = /"market_id":"([a-z0-9_]+)"/.exec(payload)?.[1];
    const received = Number(/"received_ts":(\d+)/.exec(payload)?.[1] ?? 0);
    if (market !== undefined) newest.set(market, Math.max(newest.get(market) ?? 0, received));
  }
  return newest;
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
