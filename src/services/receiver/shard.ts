// One connection's worth of channels, kept alive: a single loop is the only place that connects, so two reconnects can
// never run at once. A planned change (age, notice of shutdown, a stale channel) opens the new connection first and
// closes the old one after both have run side by side.
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { ControlEvent, FeedProtocol } from '../../exchanges/exchange.ts';
import { HandshakeError, openSession, type BadFrame, type Frame, type Session, type SessionTap } from '../../net/websocket.ts';
import { Connection, type WireOutcome } from './connection.ts';

export interface ShardHooks {
  /** Takes the frames of a batch, calling `onFirst` before the first that is market data; returns how many were. */
  onFrames: (frames: readonly Frame[], onControl: (text: string) => void, onFirst: () => void) => number;
  onWire: (wire: string, outcome: WireOutcome, detail: string) => void;
  onPlatform: (locked: boolean, detail: string) => void;
  onBadFrame: (kind: BadFrame, detail: string) => void;
  /** Data begins to come while not everything is acknowledged. */
  onFlowing: (shard: Shard, cause: string) => void;
  onUp: (shard: Shard, cause: string) => void;
  onDown: (shard: Shard, reason: string) => void;
  /** May a connection be opened now? Resolves when it may. */
  mayConnect: (signal: AbortSignal) => Promise<void>;
  onConnecting: (cause: string) => void;
  onTrouble: (shard: Shard, reason: string) => void;
  /** Who watches each connection; null: nobody. */
  tap?: ((url: string) => SessionTap) | null | undefined;
}

export interface ShardOptions extends ShardHooks {
  name: string;
  url: string;
  feed: FeedProtocol;
  clock: Clock;
  random: () => number;
}

interface Live {
  openedMs: number;
  session: Session;
  connection: Connection;
  firstData: Promise<void>;
  /** The pump has read everything that came. */
  done: Promise<string>;
}

const TICK_MS = 50;
const OVERLAP_MS = 2_000;
const FIRST_DATA_MS = 5_000;
const SETTLE_MS = 60_000;
/** A connection that held this long forgives the failures before it. */
const STABLE_MS = 60_000;
const BACKOFF = { baseMs: 500, maxMs: 30_000 };
const REFUSED_MS = 60_000;
const STALE_DISTANCE = { minMs: 30_000, maxMs: 600_000 };

export class Shard {
  readonly name: string;
  readonly wires = new Set<string>();
  readonly #o: ShardOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  readonly #live = new Set<Live>();
  readonly #running: Promise<void>;
  #state: 'down' | 'flowing' | 'up' = 'down';
  #replace: ((reason: string) => void) | null = null;
  #lastStaleMs = -Infinity;
  #staleDistanceMs = STALE_DISTANCE.minMs;

  constructor(options: ShardOptions, wires: Iterable<string>) {
    this.name = options.name;
    this.#o = options;
    this.#backoff = new Backoff({ ...BACKOFF, random: options.random });
    for (const wire of wires) this.wires.add(wire);
    this.#running = this.#run();
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** Whether data comes, or may: everything is acknowledged. */
  get flows(): boolean {
    return this.#state !== 'down';
  }

  /** The set `wires` has changed. */
  retarget(): void {
    for (const { connection } of this.#live) connection.setTarget(new Set(this.wires));
  }

  /** Asks for a new connection beside the present one; ignored while there is none or one is being made. */
  replace(reason: string): void {
    this.#replace?.(reason);
  }

  /** Like replace, but ever more rarely while it does not cure what made it. */
  replaceStale(reason: string): void {
    const nowMs = this.#o.clock.monotonicMs();
    const sinceMs = nowMs - this.#lastStaleMs;
    if (this.#replace === null || sinceMs < this.#staleDistanceMs) return;
    this.#lastStaleMs = nowMs;
    const isNew = sinceMs > 3 * STALE_DISTANCE.maxMs;
    this.#staleDistanceMs = isNew ? STALE_DISTANCE.minMs : Math.min(STALE_DISTANCE.maxMs, 2 * this.#staleDistanceMs);
    this.replace(reason);
  }

  /** Ends the loop and its connections, all frames read. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#live].map(({ session }) => session.close()));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let current: Live | null = null;
    let cause = 'start';
    // A replacement that was asked for and did not come about.
    let wish: string | null = null;
    while (!signal.aborted) {
      if (current === null) {
        current = await this.#establish(cause);
        if (current === null) continue;
        this.#setUp(cause);
      }
      const next: { over: boolean; reason: string } =
        wish === null ? await this.#untilOverOrReplaced(current) : { over: false, reason: wish };
      wish = null;
      if (this.#o.clock.monotonicMs() - current.openedMs > STABLE_MS) this.#backoff.reset();
      if (next.over) {
        this.#setDown(next.reason);
        current = null;
        cause = 'reconnect';
        await this.#wait(this.#backoff.next());
      } else {
        const old: Live = current;
        current = await this.#makeBeforeBreak(old, next.reason);
        if (current === old) wish = next.reason;
        cause = 'reconnect';
      }
    }
    await Promise.all([...this.#live].map(async ({ session, done }) => (await session.close(), done)));
  }

  /** Waits for the end of `live`, or for somebody (or its age) to ask for another. */
  async #untilOverOrReplaced(live: Live): Promise<{ over: boolean; reason: string }> {
    const { maxSessionAgeMs } = this.#o.feed.limits;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve) => {
        this.#replace = (reason) => resolve({ over: false, reason });
        // Up to a tenth early, so that shards opened together do not all change together.
        const ageMs = this.#o.clock.monotonicMs() - live.openedMs;
        if (maxSessionAgeMs !== null)
          timer = setTimeout(
            () => this.replace('session age'),
            Math.max(0, maxSessionAgeMs * (1 - 0.1 * this.#o.random()) - ageMs),
          );
        void live.done.then((reason) => resolve({ over: true, reason }));
      });
    } finally {
      this.#replace = null;
      clearTimeout(timer);
    }
  }

  /** Returns the new connection, or the old one when the new one failed and the old one lives, or null. */
  async #makeBeforeBreak(old: Live, reason: string): Promise<Live | null> {
    let state: 'both' | 'old over' | 'settled' = 'both';
    void old.done.then((why) => {
      if (state === 'settled') return;
      state = 'old over';
      this.#setDown(why);
    });
    const oldIsOver = (): boolean => state === 'old over';
    const next = await this.#establish(reason);
    if (next === null) {
      if (oldIsOver()) return null;
      state = 'settled';
      return old;
    }
    await Promise.race([next.firstData, next.done, this.#wait(FIRST_DATA_MS)]);
    if (!oldIsOver()) await Promise.race([next.done, old.done, this.#wait(OVERLAP_MS)]);
    state = 'settled';
    // Set anew also where it never was down: the cause is told.
    this.#setUp(reason);
    await old.session.close();
    await old.done;
    return next;
  }

  /** One attempt: connected, subscribed and acknowledged; or null, after the pause that the failure asks for. */
  async #establish(cause: string): Promise<Live | null> {
    const { signal } = this.#stop;
    let live: Live | null = null;
    try {
      await this.#o.mayConnect(signal);
      this.#o.onConnecting(cause);
      live = await this.#open(cause);
      const failed = await Promise.race([
        live.connection.whenSettled().then(() => null),
        live.done,
        this.#wait(SETTLE_MS).then(() => null),
      ]);
      if (failed === null && !signal.aborted) return live;
      if (failed !== null) this.#failed(failed);
    } catch (error) {
      if (signal.aborted) return null;
      this.#o.onTrouble(this, toError(error).message);
      if (error instanceof HandshakeError && error.status >= 400 && error.status < 500) {
        await this.#wait(Math.max(error.retryAfterMs ?? 0, error.status === 404 ? 0 : REFUSED_MS));
      }
    }
    if (!signal.aborted) await this.#wait(this.#backoff.next());
    return null;
  }

  async #open(cause: string): Promise<Live> {
    const { feed, clock, url } = this.#o;
    const session = await openSession(url, {
      clock,
      pingAfterMs: feed.limits.pingAfterMs,
      onBadFrame: this.#o.onBadFrame,
      tap: this.#o.tap?.(url) ?? null,
      signal: this.#stop.signal,
    });
    const connection = new Connection({
      feed,
      clock,
      send: (text) => session.send(text),
      terminate: (reason) => session.terminate(reason),
      onWire: this.#o.onWire,
      onEvent: (event) => this.#onEvent(event),
    });
    let sawData = (): void => undefined;
    const firstData = new Promise<void>((resolve) => {
      sawData = resolve;
    });
    const done = this.#pump(session, connection, cause, sawData);
    const live = { openedMs: clock.monotonicMs(), session, connection, firstData, done };
    this.#live.add(live);
    void done.then(() => this.#live.delete(live));
    connection.setTarget(new Set(this.wires));
    return live;
  }

  async #pump(session: Session, connection: Connection, cause: string, sawData: () => void): Promise<string> {
    const onControl = (text: string): void => connection.control(text);
    const onFirst = (): void => this.#setFlowing(cause);
    const timer = setInterval(() => connection.tick(), TICK_MS);
    try {
      for await (const frames of session) {
        if (this.#o.onFrames(frames, onControl, onFirst) > 0) sawData();
      }
      const { code, reason } = await session.ended;
      return reason === '' ? `closed with code ${code}` : `${reason} (code ${code})`;
    } finally {
      clearInterval(timer);
    }
  }

  #onEvent(event: Extract<ControlEvent, { kind: 'shutdown' | 'platform' }>): void {
    if (event.kind === 'shutdown') this.replace(event.reason);
    else this.#o.onPlatform(event.locked, event.detail);
  }

  #setFlowing(cause: string): void {
    if (this.#state !== 'down' || this.#stop.signal.aborted) return;
    this.#state = 'flowing';
    this.#o.onFlowing(this, cause);
  }

  #setUp(cause: string): void {
    this.#state = 'up';
    this.#o.onUp(this, cause);
  }

  #setDown(reason: string): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    // Closed because nobody wants it any more: no news.
    if (!this.#stop.signal.aborted) this.#o.onDown(this, reason);
  }

  /** A connection ended before everything was acknowledged; the one that it should replace may live. */
  #failed(reason: string): void {
    this.#o.onTrouble(this, reason);
    if (this.#state === 'flowing') this.#setDown(reason);
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}
