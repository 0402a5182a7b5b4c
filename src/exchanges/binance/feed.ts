// Binance over WebSocket: combined streams, subscribed by request (binance-spot-api-docs web-socket-streams.md).
// Spot and USD-M differ in the names of streams, in limits, and in the paths that USD-M has been split into since 2026-04-23.
import { z } from 'zod';
import type { Resolution } from '../../contracts/index.ts';
import type { ControlEvent, FeedLimits, FeedProtocol, Subscription } from '../exchange.ts';

export interface StreamNames {
  trade: string;
  ticker: readonly string[];
  resolutions: readonly Resolution[];
  /** Path of the combined endpoint that serves a stream. */
  path(wire: string): string;
}

const HOUR_MS = 3_600_000;
// Unknown streams are acknowledged like known ones: only LIST_SUBSCRIPTIONS tells, and of an unknown symbol not even that.
// 24 h cut: we leave after 23. 300 connection attempts per 5 minutes and IP, which other processes may share.
const SHARED = { maxRequestBytes: 4000, maxSessionAgeMs: 23 * HOUR_MS, maxConnectsPer5Min: 150, maxSessions: 50, pingAfterMs: 30_000 };
/** 1,024 streams per connection; 5 frames per second of ours, pongs included. */
export const SPOT_LIMITS: FeedLimits = { ...SHARED, maxWirePerSession: 1000, maxWirePerRequest: 100, minSendIntervalMs: 300 };
/** Documented 1,024 and 10 per second, but its pages also say 200 streams. */
export const USDM_LIMITS: FeedLimits = { ...SHARED, maxWirePerSession: 200, maxWirePerRequest: 100, minSendIntervalMs: 150 };

export const SPOT_STREAMS: StreamNames = {
  trade: 'trade',
  ticker: ['ticker', 'bookTicker'],
  resolutions: ['1s', '1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w'],
  path: () => '/stream',
};

/** @trade is undocumented on USD-M: aggregates with their first and last trade id tell as much. */
export const USDM_STREAMS: StreamNames = {
  trade: 'aggTrade',
  ticker: ['ticker', 'bookTicker', 'markPrice@1s'],
  resolutions: ['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w'],
  // The undivided path still opens but is silent for most streams.
  path: (wire) => (/@(bookTicker|depth)/.test(wire) ? '/public/stream' : '/market/stream'),
};

const idSchema = z.number().nullish().catch(null);
const errorSchema = z.object({ code: z.number(), msg: z.string() });
const controlSchema = z.union([
  z.object({ e: z.literal('serverShutdown') }),
  z.object({ data: z.object({ e: z.literal('serverShutdown') }) }),
  z.object({ id: idSchema, error: errorSchema }),
  errorSchema.extend({ id: idSchema }),
  z.object({ id: idSchema, result: z.unknown() }),
]);

export function createFeed(names: StreamNames, limits: FeedLimits): FeedProtocol {
  const request = (method: string, params: readonly string[] | undefined, id: number): string =>
    JSON.stringify({ method, params, id });
  return {
    limits,
    wireChannels({ channel, symbol }: Subscription, resolutions: readonly Resolution[]): string[] {
      const name = symbol.toLowerCase();
      if (channel === 'trade') return [`${name}@${names.trade}`];
      if (channel === 'ticker') return names.ticker.map((stream) => `${name}@${stream}`);
      return resolutions.filter((r) => names.resolutions.includes(r)).map((r) => `${name}@kline_${r}`);
    },
    url: (base: string, wire: string): string => base + names.path(wire),
    /** Nothing to say: the server pings by itself. */
    hello: () => [],
    subscribe: (wire: readonly string[], requestId: number): string => request('SUBSCRIBE', wire, requestId),
    unsubscribe: (wire: readonly string[], requestId: number): string => request('UNSUBSCRIBE', wire, requestId),
    list: (requestId: number): string => request('LIST_SUBSCRIPTIONS', undefined, requestId),
    control,
  };
}

function control(frame: string): ControlEvent {
  const parsed = controlSchema.safeParse(decode(frame));
  if (!parsed.success) return { kind: 'other', detail: frame.slice(0, 200) };
  const message = parsed.data;
  if ('e' in message || 'data' in message) return { kind: 'shutdown', reason: 'serverShutdown' };
  if ('error' in message) return rejected(message.id, message.error);
  if ('code' in message) return rejected(message.id, message);
  const wire = z.array(z.string()).safeParse(message.result);
  const requestId = message.id;
  if (typeof requestId !== 'number') return { kind: 'other', detail: 'answer without a request of ours' };
  if (wire.success) return { kind: 'listed', requestId, wire: wire.data };
  if (message.result === null) return { kind: 'accepted', requestId, wire: 'as-requested' };
  return { kind: 'other', detail: `result ${JSON.stringify(message.result).slice(0, 200)}` };
}

function rejected(id: number | null | undefined, error: { code: number; msg: string }): ControlEvent {
  return { kind: 'rejected', requestId: id ?? null, code: error.code, message: error.msg };
}

function decode(frame: string): unknown {
  try {
    return JSON.parse(frame);
  } catch {
    return null;
  }
}
