// Deribit over WebSocket: JSON-RPC 2.0, one message per text frame (docs.deribit.com/articles/json-rpc-overview).
import { z } from 'zod';
import type { Resolution } from '../../contracts/index.ts';
import type { ControlEvent, FeedLimits, FeedProtocol, Subscription } from '../exchange.ts';
import { RESOLUTIONS } from './mapping.ts';

/** Seconds between the server's heartbeats; it accepts 10 and more. */
const HEARTBEAT_SECONDS = 15;
/** The answer to a test_request needs an id; 0 is never one of the session's own. */
const TEST_ID = 0;
/** Unauthenticated connections may not use `raw` (error 13778). */
const INTERVAL = '100ms';

const CANDLE_WORDS = new Map(Object.entries(RESOLUTIONS).map(([word, resolution]) => [resolution, word]));

// Credits: subscribe costs 3,000 of a pool of 30,000 that refills by 10,000 per second (articles/rate-limits); one frame is
// at most 32 kB and 500 channels (articles/market-data-collection-best-practices). No 24 h cut is documented. 32 connections per IP.
const LIMITS: FeedLimits = {
  maxWirePerSession: 500,
  maxWirePerRequest: 250,
  maxRequestBytes: 30_000,
  minSendIntervalMs: 350,
  maxSessionAgeMs: null,
  maxConnectsPer5Min: 60,
  // Half of what one address may have: a connection is replaced before it is closed, and REST has connections, too.
  maxSessions: 14,
  pingAfterMs: 20_000,
};

const idSchema = z.union([z.number(), z.string()]).nullish();
const controlSchema = z.union([
  z.object({ method: z.literal('heartbeat'), params: z.object({ type: z.string() }) }),
  z.object({ id: idSchema, error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }) }),
  z.object({ id: idSchema, result: z.unknown() }),
  z.object({
    method: z.literal('subscription'),
    params: z.object({ channel: z.string(), data: z.record(z.string(), z.unknown()) }),
  }),
]);

function call(method: string, params: unknown, id: number): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method: `public/${method}`, params });
}

export const feed: FeedProtocol = {
  limits: LIMITS,

  wireChannels({ channel, symbol }: Subscription, resolutions: readonly Resolution[]): string[] {
    if (channel === 'trade') return [`trades.${symbol}.${INTERVAL}`];
    if (channel === 'ticker') return [`ticker.${symbol}.${INTERVAL}`];
    return resolutions.flatMap((resolution) => {
      const word = CANDLE_WORDS.get(resolution);
      return word === undefined ? [] : [`chart.trades.${symbol}.${word}`];
    });
  },

  url: (base: string): string => base,

  hello: (nextId: () => number): string[] => [
    call('set_heartbeat', { interval: HEARTBEAT_SECONDS }, nextId()),
    call('subscribe', { channels: ['platform_state'] }, nextId()),
  ],

  subscribe: (wire: readonly string[], requestId: number): string => call('subscribe', { channels: wire }, requestId),
  unsubscribe: (wire: readonly string[], requestId: number): string => call('unsubscribe', { channels: wire }, requestId),
  /** The acknowledgement lists what was really subscribed; refused channels are silently left out of it. */
  list: (): null => null,

  control(frame: string): ControlEvent {
    const parsed = controlSchema.safeParse(decode(frame));
    if (!parsed.success) return { kind: 'other', detail: frame.slice(0, 200) };
    const message = parsed.data;
    if ('error' in message) return rejected(message.id, message.error.code, message.error.message, message.error.data);
    if ('result' in message) return answered(message.id, message.result);
    if (message.method === 'subscription') return platform(message.params.data);
    if (message.params.type !== 'test_request') return { kind: 'other', detail: message.params.type };
    return { kind: 'respond', frame: call('test', {}, TEST_ID) };
  },
};

function decode(frame: string): unknown {
  try {
    return JSON.parse(frame);
  } catch {
    return null;
  }
}

function rejected(id: unknown, code: number, message: string, data: unknown): ControlEvent {
  const detail = data === undefined ? message : `${message} ${JSON.stringify(data).slice(0, 200)}`;
  return { kind: 'rejected', requestId: typeof id === 'number' ? id : null, code, message: detail };
}

function answered(id: unknown, result: unknown): ControlEvent {
  const channels = z.array(z.string()).safeParse(result);
  if (typeof id === 'number' && channels.success) return { kind: 'accepted', requestId: id, wire: channels.data };
  return { kind: 'other', detail: `result ${JSON.stringify(result).slice(0, 200)}` };
}

/** platform_state: {price_index, locked} or {maintenance}; platform_state.public_methods_state: {allow_…}. */
function platform(data: Record<string, unknown>): ControlEvent {
  const refused = data.allow_unauthenticated_public_requests === false;
  const locked = data.locked === true || data.maintenance === true || refused;
  return { kind: 'platform', locked, detail: JSON.stringify(data).slice(0, 200) };
}
