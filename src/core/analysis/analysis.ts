// The analysis of the whole stream: messages in, findings out. Pure: all it knows of time is what the messages say, so that the same
// stream gives the same findings, live or again. A symbol with a malformed or absurd message is set aside (its state is dropped) and
// tried again later, longer after each failure; the others go on.
//
// Memory is bounded: a fixed size per symbol (symbol_stats.ts), at most MAX_SYMBOLS of them, and what has been silent for FORGET_MS is
// forgotten.
import { PULSE_LIMITS, Pulse, type PulseLimits } from '../staleness.ts';
import { UnifiedSymbol } from './cross_market.ts';
import { Detectors } from './detectors.ts';
import type { Finding } from './finding.ts';
import type { MessageFields } from './message_fields.ts';
import type { Rules } from './rules.ts';
import { SymbolStats } from './symbol_stats.ts';

export interface InstrumentKnowledge {
  readonly unifiedSymbol: string | null;
  /** spot, perpetual, future, option, combo; null: not known */
  readonly kind: string | null;
  /** After this (µs) nothing comes of it any more; null or left out: it has no end. */
  readonly expiryTs?: number | null;
}

export interface AnalysisOptions {
  readonly rules: Rules;
  /** What is known of an instrument now. */
  readonly instrument: (marketId: string, symbol: string) => InstrumentKnowledge | undefined;
  readonly found: (finding: Finding) => void;
}

export const MAX_SYMBOLS = 20_000;
const FORGET_MS = 6 * 3_600_000;
const CHECK_MICROS = 1_000_000;
/** A symbol that went well for so long begins with the shortest quarantine again. */
const FORGIVE_MICROS = 3_600_000_000;

/** One symbol as the analysis knows it. */
export interface Tracked {
  readonly marketId: string;
  readonly symbol: string;
  /** null: in quarantine. */
  state: { readonly stats: SymbolStats; readonly detectors: Detectors } | null;
  quarantine: { attempts: number; at: number; until: number };
  silence: 'none' | 'told';
  /** Forgotten: whoever remembers it must ask track() again. */
  gone: boolean;
}

interface MarketPulse {
  readonly pulse: Pulse;
  silence: 'none' | 'told';
}

export class Analysis {
  readonly #options: AnalysisOptions;
  readonly #symbols = new Map<string, Tracked>();
  readonly #markets = new Map<string, MarketPulse>();
  readonly #unified = new Map<string, UnifiedSymbol>();
  readonly #staleLimits: PulseLimits;
  /** The newest receive time, µs. */
  #now = 0;
  #nextCheck = 0;

  constructor(options: AnalysisOptions) {
    this.#options = options;
    const { min_s: minS, times } = options.rules.rules.stale_feed;
    this.#staleLimits = { ...PULSE_LIMITS, minMs: minS * 1000, factor: times };
  }

  /** The newest receive time so far, µs; 0 before the first message. */
  get now(): number {
    return this.#now;
  }

  get symbols(): number {
    return this.#symbols.size;
  }

  /** Unified symbols whose markets are compared. */
  get compared(): number {
    return this.#unified.size;
  }

  get quarantined(): number {
    let n = 0;
    for (const { state } of this.#symbols.values()) if (state === null) n++;
    return n;
  }

  /** As if nothing had ever been taken. */
  reset(): void {
    for (const tracked of this.#symbols.values()) tracked.gone = true;
    for (const part of [this.#symbols, this.#markets, this.#unified]) part.clear();
    this.#now = this.#nextCheck = 0;
  }

  /** The state of a symbol, made when it is new. */
  track(marketId: string, symbol: string): Tracked {
    const key = `${marketId}:${symbol}`;
    const known = this.#symbols.get(key);
    if (known !== undefined) return known;
    if (this.#symbols.size >= MAX_SYMBOLS) this.#forgetOldest();
    const tracked: Tracked = { marketId, symbol, state: null, quarantine: { attempts: 0, at: -Infinity, until: 0 }, silence: 'none', gone: false };
    this.#symbols.set(key, tracked);
    if (!this.#markets.has(marketId)) this.#markets.set(marketId, { pulse: new Pulse(this.#now / 1000), silence: 'none' });
    return tracked;
  }

  /** Figures of a symbol, for people; null while it is not known or in quarantine. */
  figures(marketId: string, symbol: string): ReturnType<SymbolStats['figures']> | null {
    return this.#symbols.get(`${marketId}:${symbol}`)?.state?.stats.figures() ?? null;
  }

  /** Takes one trade or ticker. Throws nothing that a message can cause. */
  take(tracked: Tracked, fields: MessageFields): void {
    this.advance(fields.receivedTs);
    const state = tracked.state ?? this.#admit(tracked, fields.receivedTs);
    // Set aside, the symbol still shows that its market is alive.
    if (state === null) return this.#heard(tracked.marketId, fields.receivedTs / 1000);
    const absurd = this.#absurdity(tracked, state.stats, fields);
    if (absurd !== null) return this.quarantine(tracked, fields.receivedTs, absurd);
    this.#seen(tracked, state.stats, fields.receivedTs);
    const { stats, detectors } = state;
    const found = (rule: keyof Rules['rules'], windowStart: number, data: Record<string, unknown>): void =>
      this.#tell(rule, tracked.marketId, tracked.symbol, stats.ts, windowStart, data);
    if (fields.kind === 'trade') {
      const closed = stats.trade(fields.exchangeTs, fields.price, fields.amount, fields.isBuy, fields.isLiquidation);
      detectors.afterTrade(stats, closed, fields.isLiquidation, found);
      return;
    }
    stats.quote(fields.exchangeTs, fields.bid, fields.ask);
    stats.levels.set(stats.ts, fields.openInterest, fields.fundingRate, fields.markIv);
    detectors.afterTicker(stats, found);
    this.#compare(tracked, stats, fields.receivedTs);
  }

  /** Time has come to `now` (µs, receive time), also without a message: silences are looked for. */
  advance(now: number): void {
    if (now <= this.#now) return;
    this.#now = now;
    if (now < this.#nextCheck) return;
    this.#nextCheck = (Math.floor(now / CHECK_MICROS) + 1) * CHECK_MICROS;
    this.#lookForSilence(now / 1000);
  }

  /** Sets a symbol aside: its state is dropped, and it is tried again after a while. */
  quarantine(tracked: Tracked, at: number, reason: string): void {
    if (tracked.state === null && at < tracked.quarantine.until) return;
    const { retry_s: base, max_retry_s: most } = this.#options.rules.quarantine;
    const { quarantine } = tracked;
    const attempts = at - quarantine.at > FORGIVE_MICROS ? 1 : quarantine.attempts + 1;
    const retryS = Math.min(most, base * 2 ** Math.min(attempts - 1, 30));
    tracked.state = null;
    tracked.quarantine = { attempts, at, until: at + retryS * 1e6 };
    this.#separate(tracked);
    const { marketId, symbol } = tracked;
    this.#options.found({
      rule: 'quarantined', severity: 'warning', marketId, symbol, ts: at, windowStart: second(at), data: { reason, attempts, retry_s: retryS },
    });
  }

  /** A fresh state for a symbol that is new, or whose quarantine is over; null: not yet. */
  #admit(tracked: Tracked, at: number): Tracked['state'] {
    const { quarantine, marketId, symbol } = tracked;
    if (at < quarantine.until) return null;
    tracked.state = { stats: new SymbolStats(at), detectors: new Detectors(this.#options.rules.rules) };
    if (quarantine.attempts > 0) {
      const data = { attempts: quarantine.attempts };
      this.#options.found({ rule: 'resumed', severity: 'info', marketId, symbol, ts: at, windowStart: second(quarantine.at), data });
    }
    return tracked.state;
  }

  /** Why a message cannot be true, in one line with its field and value; null when it can. */
  #absurdity(tracked: Tracked, stats: SymbolStats, fields: MessageFields): string | null {
    const { future_s: future, price_factor: factor } = this.#options.rules.quarantine;
    if (fields.exchangeTs - fields.receivedTs > future * 1e6) return `exchange_ts: ${fields.exchangeTs} is more than ${future} s after received_ts`;
    const kind = this.#options.instrument(tracked.marketId, tracked.symbol)?.kind ?? null;
    // A combo's price is a difference: of either sign, and never far from zero.
    if (kind === 'combo') return null;
    const { bid, ask, price } = fields;
    if (fields.kind === 'trade') {
      if (!(price > 0)) return `price: ${price} is not above 0`;
      return isFar(price, stats.lastPrice, factor) ? `price: ${price} is beyond ${factor} times the last one, ${stats.lastPrice}` : null;
    }
    if (bid < 0 || ask < 0) return bid < 0 ? `best_bid_price: ${bid} is below 0` : `best_ask_price: ${ask} is below 0`;
    // An option's quote may well come from next to nothing.
    if (kind === 'option') return null;
    const quote = `best_bid_price, best_ask_price: ${bid}, ${ask}`;
    return isFar((bid + ask) / 2, stats.mid, factor) ? `${quote} are beyond ${factor} times the last mid, ${stats.mid}` : null;
  }

  #seen(tracked: Tracked, stats: SymbolStats, receivedTs: number): void {
    const ms = receivedTs / 1000;
    stats.pulse.seen(ms);
    tracked.silence = 'none';
    this.#heard(tracked.marketId, ms);
  }

  #heard(marketId: string, ms: number): void {
    const market = this.#markets.get(marketId);
    if (market === undefined) return;
    market.pulse.seen(ms);
    market.silence = 'none';
  }

  #compare(tracked: Tracked, stats: SymbolStats, receivedTs: number): void {
    const limits = this.#options.rules.rules.divergence;
    const { mid } = stats;
    if (!limits.enabled || !(mid > 0)) return;
    this.#unifiedOf(tracked)?.update(`${tracked.marketId}:${tracked.symbol}`, receivedTs, mid, limits, ({ first, second: other, ...figures }) =>
      this.#tell('divergence', tracked.marketId, tracked.symbol, receivedTs, second(receivedTs), { first, second: other, ...figures }));
  }

  /** Takes it out of the comparison; with the last of its markets the unified symbol goes. */
  #separate({ marketId, symbol }: Tracked): void {
    const name = this.#options.instrument(marketId, symbol)?.unifiedSymbol ?? '';
    const known = this.#unified.get(name);
    known?.remove(`${marketId}:${symbol}`);
    if (known?.empty === true) this.#unified.delete(name);
  }

  #unifiedOf({ marketId, symbol }: Tracked): UnifiedSymbol | undefined {
    const name = this.#options.instrument(marketId, symbol)?.unifiedSymbol ?? null;
    if (name === null) return undefined;
    const known = this.#unified.get(name) ?? new UnifiedSymbol();
    this.#unified.set(name, known);
    return known;
  }

  #lookForSilence(nowMs: number): void {
    if (!this.#options.rules.rules.stale_feed.enabled) return this.#forget(nowMs);
    for (const [marketId, market] of this.#markets) {
      if (market.silence === 'told' || !market.pulse.heard || !market.pulse.overdue(nowMs, this.#staleLimits)) continue;
      market.silence = 'told';
      this.#tellSilence(marketId, null, market.pulse, nowMs);
    }
    for (const tracked of this.#symbols.values()) {
      const pulse = tracked.state?.stats.pulse;
      // The market's silence says it all.
      if (pulse === undefined || tracked.silence === 'told' || !pulse.overdue(nowMs, this.#staleLimits)) continue;
      if (this.#markets.get(tracked.marketId)?.silence === 'told') continue;
      tracked.silence = 'told';
      // An option that has expired is silent for good, and a thousand of them do so at once.
      const { expiryTs = null } = this.#options.instrument(tracked.marketId, tracked.symbol) ?? {};
      if (expiryTs !== null && pulse.lastMs + pulse.limitMs(this.#staleLimits) >= expiryTs / 1000) continue;
      this.#tellSilence(tracked.marketId, tracked.symbol, pulse, nowMs);
    }
    this.#forget(nowMs);
  }

  /** By the silence's beginning: however late it is noticed, it is the same event. */
  #tellSilence(marketId: string, symbol: string | null, pulse: Pulse, nowMs: number): void {
    const limitMs = pulse.limitMs(this.#staleLimits);
    const data = { last_received_ts: Math.round(pulse.lastMs * 1000), limit_s: limitMs / 1000, silent_s: (nowMs - pulse.lastMs) / 1000 };
    this.#tell('stale_feed', marketId, symbol, Math.round((pulse.lastMs + limitMs) * 1000), second(pulse.lastMs * 1000), data);
  }

  #forget(nowMs: number): void {
    for (const [key, tracked] of this.#symbols) {
      // One that is just being made has no state yet.
      if (tracked.state === null && tracked.quarantine.attempts === 0) continue;
      const last = tracked.state?.stats.pulse.lastMs ?? tracked.quarantine.at / 1000;
      if (nowMs - last > FORGET_MS) this.#drop(key, tracked);
    }
  }

  #forgetOldest(): void {
    let oldest: [string, Tracked] | null = null;
    let least = Infinity;
    for (const each of this.#symbols) {
      const last = each[1].state?.stats.pulse.lastMs ?? -Infinity;
      if (last >= least) continue;
      [oldest, least] = [each, last];
    }
    if (oldest !== null) this.#drop(...oldest);
  }

  #drop(key: string, tracked: Tracked): void {
    tracked.gone = true;
    this.#symbols.delete(key);
    this.#separate(tracked);
  }

  #tell(rule: keyof Rules['rules'], marketId: string, symbol: string | null, ts: number, windowStart: number, data: Record<string, unknown>): void {
    const { severity } = this.#options.rules.rules[rule];
    this.#options.found({ rule, severity, marketId, symbol, ts, windowStart, data });
  }
}

const second = (micros: number): number => Math.floor(micros / 1e6) * 1e6;

/** NaN is never far: there is nothing to compare with. */
const isFar = (value: number, last: number, factor: number): boolean => value > last * factor || value * factor < last;
