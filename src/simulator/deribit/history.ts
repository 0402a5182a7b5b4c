// REST history of the simulated Deribit: trades by sequence number, id or time, and chart candles.
import { intervalMs } from '../candles.ts';
import type { Market } from '../market.ts';
import { RESOLUTIONS } from './channels.ts';
import { priceFloat, tradeNumber, tradeObject, volumeAndCost, type MarketNames } from './frames.ts';
import { invalidParam, type Params } from './rpc.ts';

const MAX_POINTS = 5_000;

function count(params: Params): number {
  const value = params.int('count') ?? 10;
  if (value < 1 || value > 1000) throw invalidParam('count', 'must be from 1 to 1000');
  return value;
}

const ascending = (params: Params): boolean => params.oneOf('sorting', ['asc', 'desc', 'default'], 'default') === 'asc';

/** `get_last_trades_by_instrument[_and_time]`: seq and time ranges are inclusive; has_more refers to the asked range. */
export function tradesOfInstrument(market: Market, names: MarketNames, params: Params, timed: boolean): string {
  const { history: h } = market;
  const limit = count(params);
  const start = params.int('start_timestamp');
  const end = params.int('end_timestamp');
  if (timed && start === null) throw invalidParam('start_timestamp', 'value required');
  if (timed && end === null) throw invalidParam('end_timestamp', 'value required');
  let from = Math.max(h.first, params.int('start_seq') ?? h.first);
  let to = Math.min(h.last, params.int('end_seq') ?? h.last);
  if (start !== null) from = Math.max(from, h.lowerBound(start * 1000, 'ts'));
  if (end !== null) to = Math.min(to, h.lowerBound((end + 1) * 1000, 'ts') - 1);
  const up = ascending(params);
  const rows: string[] = [];
  for (let i = 0; i < limit && from + i <= to; i++) rows.push(tradeObject(market, names, up ? from + i : to - i));
  return `{"trades":[${rows.join(',')}],"has_more":${to - from + 1 > rows.length}}`;
}

/** `get_last_trades_by_currency[_and_time]`: several instruments, by trade id or by time. */
export function tradesOfCurrency(markets: readonly { market: Market; names: MarketNames }[], params: Params, timed: boolean): string {
  const limit = count(params);
  const start = params.int('start_timestamp') ?? 0;
  const end = params.int('end_timestamp') ?? Number.MAX_SAFE_INTEGER;
  if (timed && (params.int('start_timestamp') === null || params.int('end_timestamp') === null)) throw invalidParam('start_timestamp', 'value required');
  const startId = idNumber(params.optionalText('start_id')) ?? 0;
  const endId = idNumber(params.optionalText('end_id')) ?? Infinity;
  const up = ascending(params);
  const found: { ts: number; id: number; text: () => string }[] = [];
  for (const { market, names } of markets) {
    const { history: h } = market;
    const first = Math.max(h.first, h.lowerBound(start * 1000, 'ts'));
    const last = Math.min(h.last, h.lowerBound(Math.min(end + 1, 1e13) * 1000, 'ts') - 1);
    const within = (seq: number): boolean => tradeNumber(names, seq) >= startId && tradeNumber(names, seq) <= endId;
    for (let i = 0, taken = 0; taken <= limit && first + i <= last; i++) {
      const seq = up ? first + i : last - i;
      if (!within(seq)) continue;
      taken++;
      found.push({ ts: h.ts(seq), id: tradeNumber(names, seq), text: () => tradeObject(market, names, seq) });
    }
  }
  found.sort((a, b) => (a.ts - b.ts || a.id - b.id) * (up ? 1 : -1));
  return `{"trades":[${found.slice(0, limit).map((row) => row.text()).join(',')}],"has_more":${found.length > limit}}`;
}

const idNumber = (id: string | null): number | null => (id === null ? null : Number(/\d+$/.exec(id)?.[0] ?? NaN));

/** `get_tradingview_chart_data`: parallel arrays; the newest 5000 points of a range that holds more. */
export function chartData(market: Market, params: Params, nowMs: number): string {
  const resolution = params.text('resolution');
  const interval = Object.hasOwn(RESOLUTIONS, resolution) ? RESOLUTIONS[resolution] : undefined;
  if (interval === undefined) throw invalidParam('resolution', 'invalid value');
  const start = params.int('start_timestamp');
  const end = params.int('end_timestamp');
  if (start === null) throw invalidParam('start_timestamp', 'value required');
  if (end === null) throw invalidParam('end_timestamp', 'value required');
  const until = Math.min(end, nowMs);
  const from = Math.max(start, until - (intervalMs(interval) ?? 60_000) * (MAX_POINTS - 1));
  const bars = market.candles.range(interval, from, until, MAX_POINTS, nowMs);
  const column = (of: (bar: (typeof bars)[number]) => string): string => `[${bars.map(of).join(',')}]`;
  return (
    `{"volume":${column((bar) => volumeAndCost(market, bar).volume)},"ticks":${column((bar) => String(bar.openMs))}` +
    `,"status":"${bars.length === 0 ? 'no_data' : 'ok'}","open":${column((bar) => priceFloat(market, bar.open))}` +
    `,"low":${column((bar) => priceFloat(market, bar.low))},"high":${column((bar) => priceFloat(market, bar.high))}` +
    `,"cost":${column((bar) => volumeAndCost(market, bar).cost)},"close":${column((bar) => priceFloat(market, bar.close))}}`
  );
}
