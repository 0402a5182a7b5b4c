// Keeps REST requests inside an exchange's limits. The budget itself is the whole fleet's (src/bus/budget.ts); this side
// knows how a request waits for its turn, and what an answer says about the budget.
import { setTimeout as sleep } from 'node:timers/promises';
import { ExchangeHttpError } from './http.ts';

/** Who goes first: each lane leaves a part of the budget to those before it. */
export const LANES = ['orders', 'reconcile', 'gap_repair', 'backfill'] as const;
export type Lane = (typeof LANES)[number];

/** One rate limit of a venue's REST. */
export interface RestLimit {
  /** Names the bucket; venues that share a limit share the name. */
  readonly pool: string;
  /** Spent at once at most. A bucket that refills must stay below the venue's window: capacity + refill × window ≤ limit. */
  readonly capacity: number;
  readonly refillPerSecond: number;
  /** What a request costs, by its URL. */
  cost(url: URL): number;
  /** What the answer's headers say is left; null when they say nothing. */
  left(headers: Headers): number | null;
}

/** The shared budget of one venue. Its failures are the caller's: without a budget nothing is asked. */
export interface RateBudget {
  /** 0: go; else ms to wait before asking again. */
  take(cost: number, lane: Lane): Promise<number>;
  /** The exchange said that this much is left. */
  lower(left: number): Promise<void>;
  /** The exchange wants nothing for so long. */
  ban(ms: number, reason: string): Promise<void>;
}

export interface BudgetedOptions {
  limit: RestLimit;
  budget: RateBudget;
  lane: Lane;
  signal: AbortSignal;
  random: () => number;
  /** Makes the GET; `onHeaders` sees the headers of every answer. */
  http: (onHeaders: (headers: Headers) => void) => (url: string) => Promise<string>;
}

/** Waits are cut, so that a budget that is freed earlier is used. */
const MAX_WAIT_MS = 5_000;
/** Asked too often without being told for how long to stay away: Binance counts by the minute. */
const DEFAULT_PAUSE_MS = 60_000;
const DEFAULT_BAN_MS = 120_000;

/** Resolves when `cost` was taken from the budget. Rejects when `signal` aborts, or with the budget's own error. */
export async function awaitTurn({ budget, lane, signal, random }: Pick<BudgetedOptions, 'budget' | 'lane' | 'signal' | 'random'>, cost: number): Promise<void> {
  for (let wait = await budget.take(cost, lane); wait > 0; wait = await budget.take(cost, lane)) {
    await sleep(Math.min(wait, MAX_WAIT_MS) * (1 + random() / 10), undefined, { signal });
  }
}

/** A GET that waits for its turn. Rejects when `signal` aborts, or with the request's own error. */
export function budgetedGet(options: BudgetedOptions): (url: string) => Promise<string> {
  const { limit, budget, lane, signal, random } = options;
  const get = options.http((headers) => {
    const left = limit.left(headers);
    // A correction that is lost is made by the next answer.
    if (left !== null) budget.lower(left).catch(() => undefined);
  });
  return async (url) => {
    await awaitTurn({ budget, lane, signal, random }, limit.cost(new URL(url)));
    try {
      return await get(url);
    } catch (error) {
      if (error instanceof ExchangeHttpError) await note(error);
      throw error;
    }
  };

  async function note({ kind, retryAfterMs, message }: ExchangeHttpError): Promise<void> {
    if (kind === 'rate_limited') await budget.ban(retryAfterMs ?? DEFAULT_PAUSE_MS, message);
    if (kind === 'banned') await budget.ban(retryAfterMs ?? DEFAULT_BAN_MS, message);
  }
}
