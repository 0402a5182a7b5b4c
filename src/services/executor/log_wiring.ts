// The keeper of the account's log for one life: its ports are the real ones.
import { isAuditAsked } from '../../bus/audits.ts';
import { fleetBudget } from '../../bus/budget.ts';
import { marketOf } from '../../exchanges/registry.ts';
import { awaitTurn } from '../../net/rate_budget.ts';
import { AccountLogBooks } from '../../store/trading/account_log.ts';
import { LogKeeper } from './account_log.ts';
import type { Trading } from './parts.ts';
import type { Trader } from './trader.ts';
import { positionUpdate } from './updates.ts';

export function logKeeperOf(parts: Trading, trader: Trader, signal: AbortSignal): LogKeeper {
  const { ctx, redis, pool, store, venue, view, account, marketId, exchange, metrics } = parts;
  const { clock, log, random } = ctx;
  const limit = marketOf(marketId)?.trading?.logLimit;
  const budget = limit === undefined ? null : fleetBudget({ redis, exchange, limit });
  return new LogKeeper({
    venue, clock, log, account, marketId, terms: view, desk: trader.desk, books: new AccountLogBooks(pool), positions: () => store.positions(account),
    turn: () => (budget === null ? Promise.resolve() : awaitTurn({ budget, lane: 'reconcile', signal, random }, 1)),
    auditAsked: () => isAuditAsked(redis, exchange),
    moved: (position) => {
      trader.book.position(position);
      parts.tell(account, positionUpdate(position));
    },
    differs: (currency, difference) => metrics.equityDifference.set({ currency }, difference),
    pause: parts.pauseUntil(signal),
  });
}
