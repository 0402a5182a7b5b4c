// The markets of one unified symbol beside each other, by our own receive times: the exchanges' clocks differ.
//
//   divergence   10,000 · ln(M₁ / M₂) basis points; M the mid prices, the markets in the order of their keys
//   move         the mid is move_bp away from where it was at the last move; up or down
//   lead         ms from the last move of the first market to that of the second, when both went the same way within LEAD_LIMIT_MS:
//                above 0 the first one led
import { Alarm } from './alarm.ts';

const LEAD_LIMIT_MS = 10_000;

/** One market of a unified symbol. */
export interface CrossMember {
  /** `<market_id>:<symbol>` */
  readonly key: string;
  mid: number;
  /** When the mid was told, µs; 0: never. */
  at: number;
  reference: number;
  moveAt: number;
  moveUp: boolean;
}

export interface CrossFinding {
  readonly first: string;
  readonly second: string;
  readonly divergence_bp: number;
  readonly lead_ms: number | null;
}

export interface CrossLimits {
  readonly min_bp: number;
  readonly hold_ms: number;
  readonly max_age_ms: number;
  readonly move_bp: number;
  readonly clear: number;
  readonly cool_down_s: number;
}

interface Pair {
  readonly alarm: Alarm;
  /** Since when the divergence has been above its limit without a break, µs; Infinity: it is not. */
  since: number;
}

/** Keeps the members (few: the markets that list one symbol) and a pair state for each two of them. */
export class UnifiedSymbol {
  readonly #members = new Map<string, CrossMember>();
  readonly #pairs = new Map<string, Pair>();

  get empty(): boolean {
    return this.#members.size === 0;
  }

  /** Forgets a market: its state was dropped, or it is listed no more. */
  remove(key: string): void {
    this.#members.delete(key);
    for (const pair of this.#pairs.keys()) if (pair.split(' ').includes(key)) this.#pairs.delete(pair);
  }

  /** Takes the mid price of one market at `at` (µs, received); calls back for each pair whose divergence is an event. */
  update(key: string, at: number, mid: number, limits: CrossLimits, found: (finding: CrossFinding) => void): void {
    const member = this.#member(key);
    member.mid = mid;
    member.at = at;
    const away = Math.abs(Math.log(mid / member.reference)) * 10_000;
    if (Number.isNaN(away)) member.reference = mid;
    else if (away >= limits.move_bp) {
      member.moveUp = mid > member.reference;
      member.moveAt = at;
      member.reference = mid;
    }
    for (const other of this.#members.values()) {
      if (other === member) continue;
      const [first, second] = key < other.key ? [member, other] : [other, member];
      if (at - other.at > limits.max_age_ms * 1000) {
        // Not known is a break: what is told of the other one next has to hold anew.
        const pair = this.#pairs.get(`${first.key} ${second.key}`);
        if (pair !== undefined) pair.since = Infinity;
        continue;
      }
      const finding = this.#compare(first, second, at, limits);
      if (finding !== null) found(finding);
    }
  }

  #compare(first: CrossMember, second: CrossMember, at: number, limits: CrossLimits): CrossFinding | null {
    const bp = divergence(first.mid, second.mid);
    const pair = this.#pair(`${first.key} ${second.key}`);
    const measure = Math.abs(bp) / limits.min_bp;
    if (!(measure >= 1)) pair.since = Infinity;
    else if (pair.since === Infinity) pair.since = at;
    const held = at - pair.since >= limits.hold_ms * 1000;
    // What has not lasted long enough neither raises the alarm nor keeps it from being armed again.
    if (!pair.alarm.update(at, measure >= 1 && !held ? limits.clear : measure, limits)) return null;
    return { first: first.key, second: second.key, divergence_bp: bp, lead_ms: lead(first, second) };
  }

  #member(key: string): CrossMember {
    const known = this.#members.get(key);
    if (known !== undefined) return known;
    const member = { key, mid: Number.NaN, at: 0, reference: Number.NaN, moveAt: 0, moveUp: false };
    this.#members.set(key, member);
    return member;
  }

  #pair(name: string): Pair {
    const known = this.#pairs.get(name);
    if (known !== undefined) return known;
    const pair = { alarm: new Alarm(), since: Infinity };
    this.#pairs.set(name, pair);
    return pair;
  }
}

/** Basis points by which the first price is above the second. */
export const divergence = (first: number, second: number): number => 10_000 * Math.log(first / second);

/** ms by which the first one's last move came before the second's; null when they are not the same move. */
export function lead(first: Pick<CrossMember, 'moveAt' | 'moveUp'>, second: Pick<CrossMember, 'moveAt' | 'moveUp'>): number | null {
  if (first.moveAt === 0 || second.moveAt === 0 || first.moveUp !== second.moveUp) return null;
  const ms = (second.moveAt - first.moveAt) / 1000;
  return Math.abs(ms) > LEAD_LIMIT_MS ? null : ms;
}
