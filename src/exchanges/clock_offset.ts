// Our clock against an exchange's.
import type { Clock } from '../core/clock.ts';
import { createHttp } from '../net/http.ts';
import { marketOf } from './registry.ts';

export interface ClockOffset {
  /** Ours minus theirs, ms, in the middle of the request; wrong by half the round trip at most. */
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

const HTTP = { timeoutMs: 5_000, maxBytes: 1 << 20 };

/** Asks a market's REST for its time once. Rejects when it does not answer, or is none that we know. */
export async function clockOffset({ marketId, restUrl }: { marketId: string; restUrl: string }, clock: Clock): Promise<ClockOffset> {
  const market = marketOf(marketId);
  if (market === undefined) throw new Error(`unknown market ${marketId}`);
  const [before, wall] = [clock.monotonicMs(), clock.nowMicros()];
  const theirs = await market.rest(restUrl, createHttp({ ...HTTP, clock })).time();
  const roundTripMs = clock.monotonicMs() - before;
  return { offsetMs: (wall - theirs) / 1_000 + roundTripMs / 2, roundTripMs };
}
