// What is broken right now. A fault is named by kind, narrowed by market, symbol and channel, and ends by time, by count
// or by DELETE. The venues ask; nothing here touches a socket.

/** Of private methods; `channel` narrows them to a method, `delay_ms` says how late or how old. */
export const PRIVATE_FAULT_KINDS = [
  'request_lost', 'request_late', 'response_lost', 'response_late', 'fill_before_ack', 'late_fill', 'duplicate_fill', 'stale_orders',
  'stale_states', 'cancel_unknown', 'maintenance', 'locked',
] as const;
export type PrivateFaultKind = (typeof PRIVATE_FAULT_KINDS)[number];

export const FAULT_KINDS = [
  'silence', 'half_open', 'garbage', 'duplicate', 'reorder', 'gap', 'burst', 'cut', 'reject_subscription', 'ack_never',
  'refuse_connect', 'rest_status', 'conflict',
  ...PRIVATE_FAULT_KINDS,
  // Spent credits fail the request and leave the session alone.
  'soft_limits',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultRequest {
  kind: FaultKind;
  market_id?: string;
  symbol?: string;
  channel?: string;
  /** Connection number, for faults of one socket. */
  conn?: number;
  duration_ms?: number;
  /** How many times it strikes. */
  count?: number;
  /** Chance per occasion; 1 when absent. */
  probability?: number;
  /** The flavour: garbage kind, cut mode, `429`/`418`/`500`/`html`/`empty`/`truncated`/`error200`/`hang`. */
  mode?: string;
  /** Burst: multiplier. Reorder: window. */
  factor?: number;
  /** rest_status: only paths that contain this. */
  path?: string;
  retry_after_s?: number;
  /** cut: connections stay refused or shut down after this long. Late requests, answers and fills: how late; stale_orders: how old. */
  delay_ms?: number;
}

export interface Fault extends FaultRequest {
  id: number;
  endsAtMs: number;
  left: number;
  struck: number;
}

export class Faults {
  readonly #active = new Map<number, Fault>();
  readonly #random: () => number;
  readonly #nowMs: () => number;
  #nextId = 1;

  constructor(random: () => number, nowMs: () => number) {
    this.#random = random;
    this.#nowMs = nowMs;
  }

  get any(): boolean {
    return this.#active.size > 0;
  }

  add(request: FaultRequest): Fault {
    const fault: Fault = {
      ...request,
      id: this.#nextId++,
      endsAtMs: request.duration_ms === undefined ? Infinity : this.#nowMs() + request.duration_ms,
      left: request.count ?? Infinity,
      struck: 0,
    };
    this.#active.set(fault.id, fault);
    return fault;
  }

  remove(id?: number): void {
    if (id === undefined) this.#active.clear();
    else this.#active.delete(id);
  }

  /** Faults still in force. */
  list(): Fault[] {
    this.#expire();
    return [...this.#active.values()];
  }

  /** The first fault of `kind` that applies, without using it up. */
  find(kind: FaultKind, marketId: string, symbol?: string, channel?: string): Fault | null {
    if (this.#active.size === 0) return null;
    this.#expire();
    for (const fault of this.#active.values()) {
      if (fault.kind === kind && applies(fault, marketId, symbol, channel)) return fault;
    }
    return null;
  }

  /** As `find`, but throws the dice and uses it up once. */
  strike(kind: FaultKind, marketId: string, symbol?: string, channel?: string): Fault | null {
    const fault = this.find(kind, marketId, symbol, channel);
    if (fault === null) return null;
    if (fault.probability !== undefined && this.#random() >= fault.probability) return null;
    fault.struck++;
    if (--fault.left <= 0) this.#active.delete(fault.id);
    return fault;
  }

  #expire(): void {
    const now = this.#nowMs();
    for (const fault of this.#active.values()) if (now >= fault.endsAtMs) this.#active.delete(fault.id);
  }
}

/** A fault without a symbol hits all; one with a symbol does not hit what has none. */
function applies(fault: Fault, marketId: string, symbol?: string, channel?: string): boolean {
  if (fault.market_id !== undefined && fault.market_id !== marketId) return false;
  if (fault.symbol !== undefined && fault.symbol.toLowerCase() !== symbol?.toLowerCase()) return false;
  return fault.channel === undefined || (channel !== undefined && channel.startsWith(fault.channel));
}
