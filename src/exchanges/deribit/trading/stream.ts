// Deribit's private stream: our orders and fills as they happen, on a WebSocket of its own that no order ever waits for. It reconnects
// for ever; what was missed meanwhile is told by `interrupted`, never guessed. https://docs.deribit.com/subscriptions/user/user-orders-kind-currency-interval
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { Backoff } from '../../../core/backoff.ts';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import { parseExact } from '../../../core/json.ts';
import { openSession, type Session } from '../../../net/websocket.ts';
import type { Credentials, PrivateEvent } from '../../trading.ts';
import { whole } from '../../rest_reader.ts';
import { oneFillSchema, oneOrderSchema } from './reports.ts';

export interface StreamOptions {
  /** `wss://…/ws/api/v2` */
  url: string;
  credentials: Credentials;
  clock: Clock;
  random: () => number;
}

const ORDERS = 'user.orders.any.any.raw';
const TRADES = 'user.trades.any.any.raw';
const PLATFORM = 'platform_state';
/** Reads, and nothing else: whoever took this token could not trade with it. */
const SCOPE = 'connection trade:read account:read wallet:none';
const HEARTBEAT_SECONDS = 15;
const PING_AFTER_MS = 20_000;
const READY_WITHIN_MS = 10_000;
const RENEW_AFTER = 0.7;
const RETRY = { baseMs: 200, maxMs: 15_000 };

const envelope = z.union([
  z.object({ method: z.literal('subscription'), params: z.object({ channel: z.string(), data: z.unknown() }) }),
  z.object({ method: z.literal('heartbeat'), params: z.object({ type: z.string() }) }),
  z.object({ id: whole, error: z.object({ code: whole, message: z.string() }) }),
  z.object({ id: whole, result: z.unknown() }),
]);
const tokenSchema = z.object({ refresh_token: z.string(), expires_in: whole });
/** raw channels tell one order, those with an interval several. */
const ordersSchema = z.union([z.array(oneOrderSchema), oneOrderSchema.transform((order) => [order])]);
const tradesSchema = z.array(oneFillSchema);
const platformSchema = z.object({ locked: z.union([z.boolean(), z.string()]).optional(), maintenance: z.boolean().optional() });

/** A stream that anybody may open anew; ends when its signal aborts. */
export function privateStream(options: StreamOptions): (signal: AbortSignal) => AsyncIterable<PrivateEvent> {
  return (signal) => reconnecting(options, signal);
}

async function* reconnecting(options: StreamOptions, signal: AbortSignal): AsyncGenerator<PrivateEvent, void, undefined> {
  const backoff = new Backoff({ ...RETRY, random: options.random });
  const ended = (): boolean => signal.aborted;
  while (!ended()) {
    let reason = 'the connection ended';
    try {
      for await (const event of new Connection(options).run(signal)) {
        if (event.kind === 'ready') backoff.reset();
        yield event;
      }
    } catch (error) {
      reason = toError(error).message;
    }
    if (ended()) return;
    yield { kind: 'interrupted', reason };
    await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
  }
}

/** One connection's life: log in, subscribe, tell. */
class Connection {
  readonly #options: StreamOptions;
  /** What each request out there is about. */
  readonly #asked = new Map<number, 'auth' | 'subscribe' | 'other'>();
  #id = 0;
  #renewal: NodeJS.Timeout | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  async *run(signal: AbortSignal): AsyncGenerator<PrivateEvent, void, undefined> {
    const { url, clock, credentials } = this.#options;
    const session = await openSession(url, { clock, pingAfterMs: PING_AFTER_MS, signal });
    const end = (): void => session.terminate('the process is ending');
    signal.addEventListener('abort', end, { once: true });
    const late = setTimeout(() => session.terminate('not subscribed in time'), READY_WITHIN_MS);
    try {
      this.#ask(session, 'auth', 'public/auth', {
        grant_type: 'client_credentials', client_id: credentials.clientId, client_secret: credentials.clientSecret, scope: SCOPE,
      });
      for await (const frames of session) {
        for (const { text } of frames) {
          for (const event of this.#read(session, text)) {
            if (event.kind === 'ready') clearTimeout(late);
            yield event;
          }
        }
      }
      throw new Error((await session.ended).reason || 'the exchange closed the connection');
    } finally {
      clearTimeout(late);
      clearTimeout(this.#renewal);
      signal.removeEventListener('abort', end);
      session.terminate('done');
    }
  }

  /** What one frame says. Throws when the exchange refuses us: the connection is of no use then. */
  #read(session: Session, text: string): PrivateEvent[] {
    let tree: unknown;
    try {
      tree = parseExact(text);
    } catch {
      return [{ kind: 'interrupted', reason: 'a frame that is no JSON' }];
    }
    const parsed = envelope.safeParse(tree);
    if (!parsed.success) return [{ kind: 'interrupted', reason: 'a frame that is not as documented' }];
    const message = parsed.data;
    if ('params' in message) {
      if (message.method === 'subscription') return told(message.params.channel, message.params.data);
      if (message.params.type === 'test_request') this.#ask(session, 'other', 'public/test', {});
      return [];
    }
    const about = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    if ('error' in message) throw new Error(`${about ?? 'a request'} refused: ${message.error.code} ${message.error.message}`);
    if (about === 'auth') return this.#loggedIn(session, message.result);
    return about === 'subscribe' ? this.#subscribed(message.result) : [];
  }

  #loggedIn(session: Session, result: unknown): PrivateEvent[] {
    const { refresh_token: token, expires_in: seconds } = tokenSchema.parse(result);
    const first = this.#renewal === undefined;
    clearTimeout(this.#renewal);
    // The subscriptions end with the token: it is renewed long before.
    const renew = (): void => this.#ask(session, 'auth', 'public/auth', { grant_type: 'refresh_token', refresh_token: token });
    this.#renewal = setTimeout(renew, Math.min(seconds * 1000 * RENEW_AFTER, 2 ** 31 - 1));
    if (!first) return [];
    this.#ask(session, 'other', 'public/set_heartbeat', { interval: HEARTBEAT_SECONDS });
    this.#ask(session, 'subscribe', 'private/subscribe', { channels: [ORDERS, TRADES, PLATFORM] });
    return [];
  }

  /** Channels that are refused are left out of the answer. */
  #subscribed(result: unknown): PrivateEvent[] {
    const channels = z.array(z.string()).parse(result);
    const missing = [ORDERS, TRADES].filter((name) => !channels.includes(name));
    if (missing.length > 0) throw new Error(`not subscribed: ${missing.join(', ')}`);
    return [{ kind: 'ready' }];
  }

  #ask(session: Session, about: 'auth' | 'subscribe' | 'other', method: string, params: unknown): void {
    const id = ++this.#id;
    this.#asked.set(id, about);
    session.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  }
}

/** A notification's events; one that cannot be read means that something was missed. */
function told(channel: string, data: unknown): PrivateEvent[] {
  if (channel === PLATFORM) {
    const state = platformSchema.safeParse(data);
    const locked = state.success && (state.data.maintenance === true || ![undefined, false, 'false'].includes(state.data.locked));
    return [{ kind: 'platform', locked, detail: JSON.stringify(data).slice(0, 200) }];
  }
  const orders = channel === ORDERS ? ordersSchema.safeParse(data) : null;
  if (orders?.success === true) return orders.data.map((order) => ({ kind: 'order', order }));
  const trades = channel === TRADES ? tradesSchema.safeParse(data) : null;
  if (trades?.success === true) return trades.data.map((fill) => ({ kind: 'fill', fill }));
  return [{ kind: 'interrupted', reason: `a notification of ${channel} that is not as documented` }];
}
