// Deribit's public REST: GET with a query string, answers in a JSON-RPC envelope. https://docs.deribit.com/articles/json-rpc-overview
import { z } from 'zod';
import type { Resolution } from '../../contracts/index.ts';
import { ExchangeHttpError, type HttpErrorKind } from '../../net/http.ts';
import type { Candle, HttpGet, MarketRest, Page, RestTrade } from '../exchange.ts';
import { assertRising, decimalText, idText, judged, malformed, read, resolutionMs, whole } from '../rest_reader.ts';
import { instrumentsSchema } from './instruments.ts';
import { RESOLUTIONS } from './mapping.ts';
import { classOf } from './trading/codes.ts';

/** public/get_last_trades_by_instrument: count 1..1000. */
const TRADES_PER_PAGE = 1000;
/** Not documented; third-party clients ask for this many at most. */
const CANDLES_PER_PAGE = 5000;

const LIQUIDATIONS = { M: 'maker', T: 'taker', MT: 'both' } as const;

const TOO_MANY = new Set([10028, 10066]);
/** Some codes are about the moment, not about what was asked: maintenance, settlement, too many at once. */
const kindOf = (code: number): HttpErrorKind => (TOO_MANY.has(code) ? 'rate_limited' : classOf(code) === 'retry_read' ? 'server' : 'refused');

const errorSchema = z.object({ error: z.object({ code: whole, message: z.string() }) });

const tradeSchema = z.object({
  trade_id: idText,
  trade_seq: whole,
  instrument_name: z.string(),
  timestamp: whole,
  direction: z.enum(['buy', 'sell']),
  price: decimalText,
  amount: decimalText,
  mark_price: decimalText.optional(),
  index_price: decimalText.optional(),
  iv: decimalText.optional(),
  liquidation: z.enum(['M', 'T', 'MT']).optional(),
  block_trade_id: idText.optional(),
  combo_id: z.string().optional(),
});
const tradesSchema = z.object({ trades: z.array(tradeSchema), has_more: z.boolean() });

const column = z.array(decimalText);
const chartSchema = z.object({
  status: z.enum(['ok', 'no_data']),
  ticks: z.array(whole), open: column, high: column, low: column, close: column, volume: column, cost: column,
});

/** `base` is `https://…/api/v2`, without a slash at its end. */
export function createRest(marketId: string, base: string, get: HttpGet): MarketRest {
  async function call<T>(method: string, params: Record<string, string | number>, schema: z.ZodType<T>): Promise<{ result: T; usOut: number; body: string }> {
    const query = new URLSearchParams(Object.entries(params).map(([name, value]): [string, string] => [name, String(value)]));
    const body = await judged(get(`${base}/public/${method}${query.size > 0 ? `?${query.toString()}` : ''}`), kindOf);
    const refused = errorSchema.safeParse(tryRead(body));
    if (refused.success) {
      const { code, message } = refused.data.error;
      throw new ExchangeHttpError(`${method}: ${code} ${message}`, { kind: kindOf(code), status: 200, code, retryAfterMs: null, body: body.slice(0, 300) });
    }
    return { ...read(z.object({ result: schema, usOut: whole.default(0) }), body, method), body };
  }

  async function lastTrades(symbol: string, params: Record<string, string | number>, what: string): Promise<Page<RestTrade>> {
    const { result, body } = await call('get_last_trades_by_instrument', { instrument_name: symbol, ...params }, tradesSchema);
    const stranger = result.trades.find((trade) => trade.instrument_name !== symbol);
    if (stranger !== undefined) throw malformed(`${what}: asked for ${symbol}, got ${stranger.instrument_name}`, body);
    const items = result.trades.map((trade) => toTrade(marketId, trade));
    assertRising(items.map((trade) => trade.seq ?? 0), what, body);
    return { items, complete: !result.has_more };
  }

  async function chart(symbol: string, resolution: Exclude<Resolution, '1M'>, startMs: number, endMs: number): Promise<Candle[]> {
    const params = { instrument_name: symbol, start_timestamp: startMs, end_timestamp: endMs - 1, resolution: wireResolution(resolution) };
    const { result, usOut, body } = await call('get_tradingview_chart_data', params, chartSchema);
    const columns = [result.open, result.high, result.low, result.close, result.volume, result.cost];
    if (columns.some((values) => values.length !== result.ticks.length)) throw malformed('get_tradingview_chart_data: columns of unequal length', body);
    assertRising(result.ticks, 'get_tradingview_chart_data', body);
    return result.ticks.flatMap((tick, i) => tick < startMs || tick >= endMs ? [] : [{
      market_id: marketId, symbol, resolution, open_ts: tick * 1000, open: result.open[i]!, high: result.high[i]!, low: result.low[i]!,
      close: result.close[i]!, volume: result.volume[i]!, quote_volume: result.cost[i]!, trade_count: null,
      // The last element is the forming candle; the answer tells the exchange's own time.
      closed: (tick + resolutionMs(resolution)) * 1000 <= usOut, source: 'rest' as const,
    }]);
  }

  return {
    async time() {
      return (await call('get_time', {}, whole)).result * 1000;
    },
    async instruments(skip) {
      const { instruments, skipped } = (await call('get_instruments', { currency: 'any', expired: 'false' }, instrumentsSchema)).result;
      if (skip !== undefined) skipped.forEach(skip);
      return instruments;
    },
    async lastTrade(symbol) {
      return (await lastTrades(symbol, { count: 1, sorting: 'desc' }, 'last trade')).items[0] ?? null;
    },
    async trades(symbol, fromSeq, toSeq) {
      const page = await lastTrades(symbol, { start_seq: fromSeq, end_seq: toSeq, count: TRADES_PER_PAGE, sorting: 'asc' }, 'trades');
      return { ...page, items: page.items.filter((trade) => trade.seq !== null && trade.seq >= fromSeq && trade.seq <= toSeq) };
    },
    async candles(symbol, resolution, startTs, endTs) {
      if (resolution === '1M') throw new RangeError('resolution: 1M is not served here');
      const window = CANDLES_PER_PAGE * resolutionMs(resolution);
      const endMs = Math.ceil(endTs / 1000);
      // A window before the listing is empty: go on, or the caller would have no last item to go on from.
      for (let startMs = Math.ceil(startTs / 1000); ; startMs += window) {
        const stopMs = Math.min(startMs + window, endMs);
        const items = startMs < stopMs ? await chart(symbol, resolution, startMs, stopMs) : [];
        if (items.length > 0 || stopMs >= endMs) return { items, complete: stopMs >= endMs };
      }
    },
  };
}

function tryRead(body: string): unknown {
  try {
    return read(z.unknown(), body, 'answer');
  } catch {
    return null; // read() with the real schema says what is wrong
  }
}

function toTrade(marketId: string, wire: z.infer<typeof tradeSchema>): RestTrade {
  return {
    market_id: marketId, symbol: wire.instrument_name, exchange_ts: wire.timestamp * 1000, trade_id: wire.trade_id, seq: wire.trade_seq,
    price: wire.price, amount: wire.amount, side: wire.direction,
    ...(wire.mark_price === undefined ? {} : { mark_price: wire.mark_price }),
    ...(wire.index_price === undefined ? {} : { index_price: wire.index_price }),
    ...(wire.iv === undefined ? {} : { iv: wire.iv }),
    ...(wire.liquidation === undefined ? {} : { liquidation: LIQUIDATIONS[wire.liquidation] }),
    ...(wire.block_trade_id === undefined ? {} : { block_trade_id: wire.block_trade_id }),
    ...(wire.combo_id === undefined ? {} : { combo_id: wire.combo_id }),
  };
}

function wireResolution(resolution: Resolution): string {
  const found = Object.entries(RESOLUTIONS).find(([, ours]) => ours === resolution)?.[0];
  if (found === undefined) throw new RangeError(`resolution: ${resolution} is not served here`);
  return found;
}
