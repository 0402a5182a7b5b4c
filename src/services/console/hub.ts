// One reader for each thing that is looked at, however many look: a channel reads while somebody listens, at its own pace, and tells
// only what has changed. Questions over HTTP go through the same channels, so that a thousand of them cost one.
import type { z } from 'zod';
import { explain } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { ConsoleMetrics } from './metrics.ts';

/** A view with its parameters. */
interface Opened {
  /** The same for the same parameters. */
  readonly key: string;
  readonly read: () => Promise<unknown>;
  readonly drop: () => void;
}

/** Something to look at. */
export interface View {
  readonly everyMs: number;
  /** Throws Refusal on a parameter that is not right. */
  readonly open: (query: Readonly<Record<string, unknown>>) => Opened;
}

/** How a view is made. */
export interface ViewSpec<P> {
  readonly params: z.ZodType<P>;
  readonly everyMs: number;
  /** Rejects with Refusal where the question is wrong, with whatever else where a server is away. */
  readonly read: (params: P) => Promise<unknown>;
  /** Nobody looks any more. */
  readonly drop?: (params: P) => void;
}

export const view = <P>({ params, everyMs, read, drop }: ViewSpec<P>): View => ({
  everyMs,
  open: (query) => {
    const parsed = params.safeParse(query);
    if (!parsed.success) throw new Refusal(400, 'bad_parameter', explain(parsed.error, query));
    return { key: JSON.stringify(parsed.data), read: () => read(parsed.data), drop: () => drop?.(parsed.data) };
  },
});

/** An answer of 4xx: the question names nothing, or is none. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** What was read last, as JSON. */
export interface Reading {
  readonly text: string;
  readonly status: number;
}

type Listener = (reading: Reading) => void;

/** Kept without a listener while there are fewer; each holds one answer. */
const IDLE_CHANNELS = 64;
const MAX_CHANNELS = 400;

/** What the hub and its channels share. */
interface Surroundings {
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  readonly metrics: Pick<ConsoleMetrics, 'reads' | 'failures'>;
}

class Channel {
  readonly #work: () => Promise<unknown>;
  readonly #options: Surroundings & { readonly everyMs: number; readonly name: string };
  readonly #listeners = new Set<Listener>();
  #last: { reading: Reading; atMs: number } | null = null;
  #reading: Promise<Reading> | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** What the listeners know. */
  #told: string | null = null;
  #failing = false;

  constructor(work: () => Promise<unknown>, options: Surroundings & { everyMs: number; name: string }) {
    this.#work = work;
    this.#options = options;
  }

  get idle(): boolean {
    return this.#listeners.size === 0 && this.#reading === null;
  }

  /** What was read within the channel's pace, else read now. Never rejects. */
  current(): Promise<Reading> {
    const { clock, everyMs } = this.#options;
    if (this.#last !== null && clock.monotonicMs() - this.#last.atMs < everyMs) return Promise.resolve(this.#last.reading);
    return this.#read();
  }

  /** Calls back with what is known, and with each change from then on. Returns how to leave. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#told = this.#last?.reading.text ?? null;
    if (this.#last !== null) listener(this.#last.reading);
    if (this.#timer === null) void this.#tick();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.stop();
    };
  }

  stop(): void {
    this.#listeners.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #tick(): Promise<void> {
    // Marks that the loop runs; the next round follows this one however long it takes.
    this.#timer = setTimeout(() => undefined, 0);
    const reading = await this.#read();
    if (reading.text !== this.#told) for (const listener of this.#listeners) listener(reading);
    this.#told = reading.text;
    if (this.#listeners.size > 0) this.#timer = setTimeout(() => void this.#tick(), this.#options.everyMs);
  }

  #read(): Promise<Reading> {
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #ask(): Promise<Reading> {
    const { log, metrics, name } = this.#options;
    metrics.reads.inc({ view: name });
    let reading: Reading;
    try {
      reading = { text: JSON.stringify(await this.#work()), status: 200 };
      this.#failing = false;
    } catch (error) {
      const { status, code, message } = error instanceof Refusal ? error : { status: 503, code: 'unavailable', message: toError(error).message };
      if (status === 503) metrics.failures.inc({ view: name });
      if (status === 503 && !this.#failing) log.warn({ err: toError(error), view: name }, 'cannot be shown');
      this.#failing = status === 503;
      reading = { text: JSON.stringify({ error: { code, message } }), status };
    }
    this.#last = { reading, atMs: this.#options.clock.monotonicMs() };
    return reading;
  }
}

export class Hub {
  readonly #views: Readonly<Record<string, View>>;
  readonly #around: Surroundings;
  readonly #channels = new Map<string, { channel: Channel; drop: () => void }>();

  constructor(views: Readonly<Record<string, View>>, around: Surroundings) {
    this.#views = views;
    this.#around = around;
    // A first failure is a growth only where there was a nought before.
    for (const name of Object.keys(views)) around.metrics.failures.inc({ view: name }, 0);
  }

  get size(): number {
    return this.#channels.size;
  }

  /** The channel of a view for these parameters. Throws Refusal on a name or parameter that is not right. */
  channel(name: string, query: Readonly<Record<string, unknown>>): Pick<Channel, 'current' | 'listen'> {
    const known = Object.hasOwn(this.#views, name) ? this.#views[name] : undefined;
    if (known === undefined) throw new Refusal(404, 'unknown_view', `${JSON.stringify(name.slice(0, 60))} is none of ${Object.keys(this.#views).join(', ')}`);
    const { key, read, drop } = known.open(query);
    const open = this.#channels.get(`${name} ${key}`);
    if (open !== undefined) return open.channel;
    this.#makeRoom();
    const channel = new Channel(read, { ...this.#around, everyMs: known.everyMs, name });
    this.#channels.set(`${name} ${key}`, { channel, drop });
    return channel;
  }

  close(): void {
    for (const { channel, drop } of this.#channels.values()) {
      channel.stop();
      drop();
    }
    this.#channels.clear();
  }

  #makeRoom(): void {
    for (const [key, { channel, drop }] of this.#channels) {
      if (this.#channels.size < IDLE_CHANNELS) return;
      if (!channel.idle) continue;
      this.#channels.delete(key);
      drop();
    }
    if (this.#channels.size >= MAX_CHANNELS) throw new Refusal(503, 'too_many_views', `${MAX_CHANNELS} different things are being looked at`);
  }
}
