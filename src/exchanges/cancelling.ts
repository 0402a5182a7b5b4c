// Taking orders off the market until the exchange itself shows none: what the kill switch and the guard do. It needs no database.
import type { OrderReport } from '../core/trading/order.ts';
import { toError } from '../core/errors.ts';
import type { TradingVenue } from './trading.ts';

export interface Cancelling {
  /** Resolves after `ms`; rejects when the process shall end. */
  pause: (ms: number) => Promise<void>;
  /** Told of every round that failed. */
  failed: (reason: string) => void;
}

/** Two clean looks that are further apart than a request may be on its way: none of ours can land behind the second. */
const PROOFS = 2;
const SPACING_MS = 3_000;
const RETRY_MS = 500;

/** Cancels every order of the account, hand-made ones too; resolves when that is proven. Rejects only when `pause` does. */
export function cancelEverything(venue: TradingVenue, how: Cancelling): Promise<void> {
  return untilClean(how, async () => {
    const outcome = await venue.cancelAll();
    if (outcome.kind !== 'done') throw new Error(outcome.reason);
    return (await venue.openOrders()).length === 0;
  });
}

/** Cancels the open orders that `which` picks; resolves with how many there were, when none is left. Rejects only when `pause` does. */
export async function cancelThose(venue: TradingVenue, which: (order: OrderReport) => boolean, how: Cancelling): Promise<number> {
  const met = new Set<string>();
  await untilClean(how, async () => {
    const open = (await venue.openOrders()).filter(which);
    let failure: string | null = null;
    for (const { exchangeOrderId } of open) {
      met.add(exchangeOrderId);
      const outcome = await venue.cancel(exchangeOrderId);
      // One that the exchange will not cancel must not shield those behind it; where it does not answer, the others would wait in vain, too.
      if (outcome.kind === 'refused') failure ??= outcome.reason;
      else if (outcome.kind !== 'done' && outcome.kind !== 'gone') throw new Error(outcome.reason);
    }
    if (failure !== null) throw new Error(failure);
    return open.length === 0;
  });
  return met.size;
}

async function untilClean(how: Cancelling, look: () => Promise<boolean>): Promise<void> {
  for (let proofs = 0; ;) {
    try {
      proofs = (await look()) ? proofs + 1 : 0;
      if (proofs === PROOFS) return;
      await how.pause(proofs === 0 ? RETRY_MS : SPACING_MS);
    } catch (error) {
      proofs = 0;
      how.failed(toError(error).message);
      await how.pause(RETRY_MS);
    }
  }
}
