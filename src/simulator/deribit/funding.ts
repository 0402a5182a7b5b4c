// Funding of perpetuals and index prices over time. Both are functions of the market and the hour, so that the ticker, the
// history, the chart and the sum over any span tell the same.
import type { Market } from '../market.ts';
import { hashPair, hashText } from '../prng.ts';
import { INDEX } from './catalogue.ts';
import { floatOf } from './numbers.ts';
import { invalidParam, type Params } from './rpc.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
/** Nothing was listed before. */
const LISTED_MS = 1_534_242_287_000;
const DELIVERY_HOUR = 8 * HOUR;
/** Rows of the newest 31 days: the most that one answer holds. */
const MAX_ROWS = 744;
const DECIMALS = 12;
/** How far the chart of each length goes back, and how far its points are apart. */
const CHARTS = { '8h': [8 * HOUR, HOUR / 12], '24h': [DAY, HOUR / 4], '1m': [30 * DAY, HOUR] } as const;

/** Interest of the hour that begins at `hourMs`, as a fraction: -1.8e-6 to 2.2e-6. */
const interestOfHour = (market: Market, hourMs: number): number => ((hashPair(market.seed, hourMs / HOUR) % 401) - 180) / 1e8;

/** Interest that accrued between two times, as a fraction of the position; 0 when they are the wrong way round. */
export function interestBetween(market: Market, fromMs: number, untilMs: number): number {
  const from = Math.max(fromMs, LISTED_MS);
  let sum = 0;
  for (let hour = Math.floor(from / HOUR) * HOUR; hour < untilMs; hour += HOUR) {
    const share = (Math.min(untilMs, hour + HOUR) - Math.max(from, hour)) / HOUR;
    sum += interestOfHour(market, hour) * share;
  }
  return sum;
}

/** Interest of the eight hours before `ms`, as wire text. */
export const funding8h = (market: Market, ms: number): string => floatOf(interestBetween(market, ms - 8 * HOUR, ms), DECIMALS);

/** Index price of a base coin in an hour, as wire text. */
function indexOfHour(base: string, ms: number): string {
  const off = (hashPair(hashText(base), Math.floor(ms / HOUR)) & 1023) - 512;
  return floatOf((INDEX[base] ?? 1) * (1 + off / 80_000), 2);
}

function perpetual(market: Market): Market {
  if (market.spec.kind !== 'perpetual') throw invalidParam('instrument_name', 'must be a perpetual');
  return market;
}

/** The asked span as far as it has happened. */
function spanOf(params: Params, nowMs: number): [from: number, until: number] {
  const from = params.int('start_timestamp');
  const until = params.int('end_timestamp');
  if (from === null) throw invalidParam('start_timestamp', 'value required');
  if (until === null) throw invalidParam('end_timestamp', 'value required');
  return [Math.max(from, LISTED_MS), Math.min(until, nowMs)];
}

/** `get_funding_rate_value`: the interest of a span. */
export function fundingValue(market: Market, params: Params, nowMs: number): string {
  const [from, until] = spanOf(params, nowMs);
  return floatOf(interestBetween(perpetual(market), from, until), DECIMALS);
}

/** `get_funding_rate_history`: hourly rows, each of the hour that ends at its time; oldest first, the newest 744 of a longer span. */
export function fundingHistory(market: Market, params: Params, nowMs: number): string {
  const [from, until] = spanOf(params, nowMs);
  const { base } = perpetual(market).spec;
  const last = Math.floor(until / HOUR) * HOUR;
  const first = Math.max(Math.ceil(from / HOUR) * HOUR, last - (MAX_ROWS - 1) * HOUR);
  const rows: string[] = [];
  for (let at = first; at <= last; at += HOUR) {
    rows.push(
      `{"timestamp":${at},"index_price":${indexOfHour(base, at)},"prev_index_price":${indexOfHour(base, at - HOUR)}` +
        `,"interest_8h":${funding8h(market, at)},"interest_1h":${floatOf(interestBetween(market, at - HOUR, at), DECIMALS)}}`,
    );
  }
  return `[${rows.join(',')}]`;
}

/** `get_funding_chart_data`: points up to now, oldest first. `current` is the interest of the moment, as the ticker tells it. */
export function fundingChart(market: Market, params: Params, nowMs: number, current: string): string {
  const length = params.text('length');
  if (!Object.hasOwn(CHARTS, length)) throw invalidParam('length', 'invalid value');
  const [span, step] = CHARTS[length as keyof typeof CHARTS];
  const { base } = perpetual(market).spec;
  const points: string[] = [];
  for (let at = Math.ceil((nowMs - span) / step) * step; at <= nowMs; at += step) {
    points.push(`{"timestamp":${at},"index_price":${indexOfHour(base, at)},"interest_8h":${funding8h(market, at)}}`);
  }
  return `{"current_interest":${current},"interest_8h":${funding8h(market, nowMs)},"data":[${points.join(',')}]}`;
}

/** `get_delivery_prices`: one per day at 08:00 UTC, newest first. */
export function deliveryPrices(base: string, params: Params, nowMs: number): string {
  const offset = params.int('offset') ?? 0;
  const count = params.int('count') ?? 10;
  if (offset < 0) throw invalidParam('offset', 'must be 0 or more');
  if (count < 1 || count > 1000) throw invalidParam('count', 'must be from 1 to 1000');
  const newest = Math.floor((nowMs - DELIVERY_HOUR) / DAY) * DAY + DELIVERY_HOUR;
  const total = Math.floor((newest - LISTED_MS) / DAY) + 1;
  const rows: string[] = [];
  for (let n = offset; n < Math.min(total, offset + count); n++) {
    const at = newest - n * DAY;
    rows.push(`{"date":"${new Date(at).toISOString().slice(0, 10)}","delivery_price":${indexOfHour(base, at)}}`);
  }
  return `{"data":[${rows.join(',')}],"records_total":${total}}`;
}
