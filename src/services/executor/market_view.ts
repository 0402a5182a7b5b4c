// What the risk gate sees, kept in memory so that no signal waits for it: instruments, reference prices, the account's figures, the
// clocks' difference. Each is refreshed by its own timer, and counts as unknown once it is too old.
import type { Redis } from 'ioredis';
import { readQuotes, type Quote } from '../../bus/quotes.ts';
import type { Clock } from '../../core/clock.ts';
import type { TradingStore } from '../../core/trading/records.ts';
import type { AccountReport, BookTerms, TickStep, TradingVenue } from '../../exchanges/trading.ts';
import type { Pool } from '../../store/connect.ts';
import { loadTerms } from '../../store/trading/terms.ts';
import type { AccountBook } from './account_book.ts';
import type { InstrumentTerms, Terms } from './ports.ts';
import type { Reference, RiskView } from './risk/gate.ts';

export interface MarketViewOptions {
  redis: Redis;
  pool: Pool;
  store: TradingStore;
  venue: TradingVenue;
  clock: Clock;
  marketId: string;
  account: string;
  tickSteps: (raw: string) => TickStep[];
  /** What an instrument's name alone tells of its books. */
  named: (symbol: string) => BookTerms;
  /** Symbols of the risk file: their prices are followed. */
  symbols: readonly string[];
  reduceOnlyBecause: () => string | null;
}

/** Account figures that are older count as missing. */
const FUNDS_STALE_MS = 20_000;
/** A difference of the clocks that was measured longer ago says nothing. */
const OFFSET_STALE_MS = 180_000;
/** How often an unknown symbol may lead to a new look at the instruments. */
const RELOAD_AFTER_MS = 5_000;

interface Figures {
  equity: string;
  available: string;
  mark: string;
}

export class MarketView implements Terms {
  readonly #options: MarketViewOptions;
  #terms = new Map<string, InstrumentTerms>();
  #termsAtMs = -Infinity;
  #quotes = new Map<string, Quote>();
  #funds: { of: ReadonlyMap<string, Figures>; atMs: number } | null = null;
  #offset: { micros: number; atMs: number } | null = null;

  constructor(options: MarketViewOptions) {
    this.#options = options;
  }

  of(symbol: string): InstrumentTerms | null {
    return this.#terms.get(symbol) ?? null;
  }

  named(symbol: string): BookTerms {
    return this.#options.named(symbol);
  }

  /** The exchange's clock minus ours, µs; 0 while it is not known (the gate then lets nothing through). */
  get offsetMicros(): number {
    return this.#offset?.micros ?? 0;
  }

  async refreshTerms(): Promise<void> {
    const { pool, marketId, tickSteps, clock } = this.#options;
    const rows = await loadTerms(pool, marketId);
    this.#terms = new Map(rows.map(({ raw, inverse, ...row }) => [row.symbol, {
      ...row, marketId, reciprocal: inverse && (row.kind === 'perpetual' || row.kind === 'future'), tickSteps: tickSteps(raw),
    }]));
    this.#termsAtMs = clock.monotonicMs();
  }

  /** `book`: what is held and asked for needs a price, too. */
  async refreshQuotes(book: AccountBook | null): Promise<void> {
    const { redis, marketId, symbols } = this.#options;
    const held = book === null ? [] : [...book.positions().keys(), ...book.working().map((working) => working.symbol)];
    const wanted = [...new Set([...symbols, ...held])];
    const quotes = await readQuotes(redis, marketId, wanted);
    this.#quotes = new Map(wanted.map((symbol, i) => [symbol, quotes[i]!]));
  }

  async refreshFunds(): Promise<void> {
    const { venue, store, clock, account } = this.#options;
    const reports = await venue.accounts();
    const of = new Map<string, Figures>();
    for (const report of reports.filter(inUse)) {
      const mark = await store.equityMark(account, report.currency, report.equity, clock.nowMicros());
      of.set(report.currency, { equity: report.equity, available: report.availableFunds, mark });
    }
    this.#funds = { of, atMs: clock.monotonicMs() };
  }

  async measureClock(): Promise<void> {
    const { venue, clock } = this.#options;
    const before = clock.nowMicros();
    const theirs = await venue.time();
    const after = clock.nowMicros();
    this.#offset = { micros: Math.round(theirs - (before + after) / 2), atMs: clock.monotonicMs() };
  }

  /** What the gate sees now. Asks nobody, unless the symbol is not known. */
  async view(book: AccountBook, symbol: string): Promise<RiskView> {
    const { clock, reduceOnlyBecause } = this.#options;
    if (!this.#terms.has(symbol) && clock.monotonicMs() - this.#termsAtMs > RELOAD_AFTER_MS) await this.refreshTerms();
    const nowMs = clock.monotonicMs();
    const offset = this.#offset !== null && nowMs - this.#offset.atMs <= OFFSET_STALE_MS ? this.#offset.micros / 1000 : null;
    const funds = this.#funds !== null && nowMs - this.#funds.atMs <= FUNDS_STALE_MS ? this.#funds : null;
    return {
      reduceOnlyBecause: reduceOnlyBecause(),
      clockOffsetMs: offset,
      terms: this.of(symbol),
      reference: (name) => this.#reference(name),
      termsOf: (name) => this.of(name),
      positions: book.positions(),
      working: book.working(),
      account: (currency) => {
        const figures = funds?.of.get(currency);
        return funds === null || figures === undefined ? null : { ...figures, ageMs: nowMs - funds.atMs };
      },
      now: clock.nowMicros(),
    };
  }

  #reference(symbol: string): Reference | null {
    const quote = this.#quotes.get(symbol);
    if (quote === undefined || quote.receivedTs === null) return null;
    const ageMs = (this.#options.clock.nowMicros() - quote.receivedTs) / 1000;
    return { mark: quote.mark, last: quote.last, index: quote.index, ageMs, fresh: quote.feedStatus === 'fresh' };
  }
}

/** Accounts list every currency there is. */
const inUse = ({ balance, equity }: AccountReport): boolean => Number(balance) !== 0 || Number(equity) !== 0;
