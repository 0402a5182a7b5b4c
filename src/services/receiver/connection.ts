// The subscriptions of one session: what is really on at the exchange converges to what is wanted, within the venue's
// limits. Nothing counts as subscribed before the exchange said so.
import type { Clock } from '../../core/clock.ts';
import type { ControlEvent, FeedProtocol } from '../../exchanges/exchange.ts';
import { chunkOf, type AskState } from './chunks.ts';

/** What became of a wire channel on this session. */
export type WireOutcome = 'on' | 'refused' | 'off';

export interface ConnectionOptions {
  feed: FeedProtocol;
  clock: Clock;
  send: (text: string) => void;
  terminate: (reason: string) => void;
  onWire: (wire: string, outcome: WireOutcome, detail: string) => void;
  /** What is no matter of subscriptions. */
  onEvent: (event: Extract<ControlEvent, { kind: 'shutdown' | 'platform' }>) => void;
}

interface Request {
  kind: 'subscribe' | 'unsubscribe' | 'list';
  wire: readonly string[];
  deadlineMs: number;
}

interface WireState extends AskState {
  /**
   * idle: to be asked for at `atMs`; asked: in a request; told: acknowledged, to be verified by the list; on: known to
   * be.
   */
  state: 'idle' | 'asked' | 'told' | 'on';
  refusals: number;
  reported: boolean;
}

const ACK_DEADLINE_MS = 10_000;
/** An unanswered session is dead after so many requests. */
const MAX_TIMEOUTS = 3;
/** A channel refused this often is reported, and asked for rarely from then on. */
const REPORT_AFTER = 3;
const RETRY_MS = 1_000;
const RETRY_CAP_MS = 60_000;
/** The list of what is subscribed is asked for soon after a change, and now and then. */
const VERIFY_SOON_MS = 200;
const VERIFY_AGAIN_MS = 1_000;
const VERIFY_EVERY_MS = 60_000;

export class Connection {
  readonly #o: ConnectionOptions;
  readonly #wires = new Map<string, WireState>();
  readonly #requests = new Map<number, Request>();
  #target: ReadonlySet<string> = new Set();
  #ids = 0;
  #lastSendMs = -Infinity;
  #timeouts = 0;
  #verifyAtMs = Infinity;
  readonly #settling: (() => void)[] = [];
  /** The venue can list what is subscribed; its acknowledgement alone proves nothing then. */
  readonly #verifies: boolean;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#verifies = options.feed.list(0) !== null;
    for (const frame of options.feed.hello(() => ++this.#ids)) this.#send(frame);
  }

  /** What shall be subscribed from now on. */
  setTarget(target: ReadonlySet<string>): void {
    this.#target = target;
    for (const [wire, { state }] of this.#wires) if (state === 'idle' && !target.has(wire)) this.#wires.delete(wire);
    for (const wire of target) if (!this.#wires.has(wire)) this.#wires.set(wire, fresh('idle'));
    this.tick();
  }

  /** Every wanted channel is acknowledged, or refused so often that it was reported. */
  get settled(): boolean {
    for (const wire of this.#target) {
      const state = this.#wires.get(wire);
      if (state?.state !== 'on' && state?.reported !== true) return false;
    }
    return true;
  }

  /** Resolves when settled. */
  async whenSettled(): Promise<void> {
    if (!this.settled) await new Promise<void>((resolve) => this.#settling.push(resolve));
  }

  /** A frame that is no market data. */
  control(text: string): void {
    const event = this.#o.feed.control(text);
    switch (event.kind) {
      case 'accepted':
        this.#accepted(event.requestId, event.wire);
        break;
      case 'rejected':
        this.#rejected(event.requestId, `code ${event.code}: ${event.message}`);
        break;
      case 'listed':
        this.#listed(event.requestId, new Set(event.wire));
        break;
      case 'respond':
        this.#send(event.frame);
        break;
      case 'shutdown':
      case 'platform':
        this.#o.onEvent(event);
        break;
      case 'other':
        break;
    }
    this.tick();
  }

  /** Called several times per second: deadlines, retries, and the next frame when the venue's send rate allows one. */
  tick(): void {
    const nowMs = this.#o.clock.monotonicMs();
    this.#expire(nowMs);
    if (nowMs - this.#lastSendMs >= this.#o.feed.limits.minSendIntervalMs) this.#ask(nowMs);
    if (this.#settling.length > 0 && this.settled) for (const wake of this.#settling.splice(0)) wake();
  }

  #ask(nowMs: number): void {
    const { feed } = this.#o;
    const due = [...this.#wires].filter(([, state]) => state.atMs <= nowMs);
    const extra = due.filter(([wire, { state }]) => (state === 'on' || state === 'told') && !this.#target.has(wire));
    const missing = due.filter(([wire, { state }]) => state === 'idle' && this.#target.has(wire));
    if (extra.length > 0) {
      this.#request('unsubscribe', chunkOf(extra, feed.limits), nowMs);
    } else if (missing.length > 0) {
      this.#request('subscribe', chunkOf(missing, feed.limits), nowMs);
    } else if (nowMs >= this.#verifyAtMs && this.#requests.size === 0) {
      this.#verifyAtMs = nowMs + VERIFY_EVERY_MS;
      this.#request('list', [], nowMs);
    }
  }

  #request(kind: Request['kind'], wire: readonly string[], nowMs: number): void {
    const { feed } = this.#o;
    const id = ++this.#ids;
    const text =
      kind === 'subscribe'
        ? feed.subscribe(wire, id)
        : kind === 'unsubscribe'
          ? feed.unsubscribe(wire, id)
          : feed.list(id);
    if (text === null) return;
    for (const name of wire) this.#wires.get(name)!.state = 'asked';
    this.#requests.set(id, { kind, wire, deadlineMs: nowMs + ACK_DEADLINE_MS });
    this.#send(text);
  }

  #send(text: string): void {
    this.#lastSendMs = this.#o.clock.monotonicMs();
    this.#o.send(text);
  }

  #accepted(id: number, acknowledged: readonly string[] | 'as-requested'): void {
    const request = this.#requests.get(id);
    // Not ours to judge: the answer to a greeting, or one that came after its deadline.
    if (request === undefined) return;
    this.#requests.delete(id);
    this.#timeouts = 0;
    const told = acknowledged === 'as-requested' ? null : new Set(acknowledged);
    for (const wire of request.wire) {
      if (request.kind === 'unsubscribe') this.#off(wire);
      else if (told !== null && !told.has(wire)) this.#refuse(wire, 'left out of the acknowledgement');
      else if (this.#verifies) this.#wires.get(wire)!.state = 'told';
      else this.#on(wire);
    }
    this.#verifyWithin(VERIFY_SOON_MS);
  }

  #rejected(id: number | null, detail: string): void {
    const only = this.#requests.size === 1 ? [...this.#requests.keys()][0] : undefined;
    const requestId = id ?? only;
    const request = requestId === undefined ? undefined : this.#requests.get(requestId);
    if (requestId === undefined || request === undefined) return;
    this.#requests.delete(requestId);
    this.#timeouts = 0;
    if (request.kind === 'list') this.#verifyWithin(VERIFY_AGAIN_MS);
    const nowMs = this.#o.clock.monotonicMs();
    for (const wire of request.wire) {
      const state = this.#wires.get(wire)!;
      if (request.kind === 'unsubscribe') {
        Object.assign(state, { state: 'on', atMs: nowMs + RETRY_MS });
      } else if (request.wire.length > 1) {
        // One bad channel must not keep the others out: ask for halves.
        Object.assign(state, { state: 'idle', atMs: nowMs, limit: Math.ceil(request.wire.length / 2) });
      } else {
        this.#refuse(wire, detail);
      }
    }
  }

  #listed(id: number, wires: ReadonlySet<string>): void {
    if (!this.#requests.delete(id)) return;
    this.#timeouts = 0;
    for (const [wire, { state }] of this.#wires) {
      if (state !== 'on' && state !== 'told') continue;
      if (!wires.has(wire)) this.#refuse(wire, 'acknowledged, but not in the list of what is subscribed');
      else if (state === 'told') this.#on(wire);
    }
    for (const wire of wires) if (!this.#wires.has(wire)) this.#wires.set(wire, fresh('on'));
  }

  #expire(nowMs: number): void {
    for (const [id, request] of this.#requests) {
      if (nowMs < request.deadlineMs) continue;
      this.#requests.delete(id);
      for (const wire of request.wire) {
        if (request.kind === 'unsubscribe')
          Object.assign(this.#wires.get(wire)!, { state: 'on', atMs: nowMs + RETRY_MS });
        else Object.assign(this.#wires.get(wire)!, { state: 'idle', atMs: nowMs + RETRY_MS });
      }
      if (request.kind === 'list') this.#verifyWithin(0);
      if (++this.#timeouts >= MAX_TIMEOUTS) this.#o.terminate('subscription requests are not answered');
    }
  }

  #on(wire: string): void {
    this.#wires.set(wire, fresh('on'));
    this.#o.onWire(wire, 'on', '');
  }

  #off(wire: string): void {
    this.#wires.delete(wire);
    // Wanted again meanwhile: begin anew.
    if (this.#target.has(wire)) this.#wires.set(wire, fresh('idle'));
    else this.#o.onWire(wire, 'off', '');
  }

  #refuse(wire: string, detail: string): void {
    const state = this.#wires.get(wire)!;
    if (!this.#target.has(wire)) return this.#off(wire);
    const waitMs = Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** state.refusals++);
    Object.assign(state, { state: 'idle', atMs: this.#o.clock.monotonicMs() + waitMs });
    if (state.refusals < REPORT_AFTER || state.reported) return;
    state.reported = true;
    this.#o.onWire(wire, 'refused', detail);
  }

  #verifyWithin(ms: number): void {
    if (this.#verifies) this.#verifyAtMs = Math.min(this.#verifyAtMs, this.#o.clock.monotonicMs() + ms);
  }
}

function fresh(state: 'idle' | 'on'): WireState {
  return { state, atMs: 0, limit: Infinity, refusals: 0, reported: false };
}
