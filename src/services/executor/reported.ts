// What an exchange's word of an order does to the order on record. People change orders at the exchange's own page, ours and theirs:
// amount and price follow the exchange, so that what still works is counted, and a fill of it is none too much.
import { Exact } from '../../core/trading/exact.ts';
import { mayMove, stateByReport, type OrderReport } from '../../core/trading/order.ts';
import type { OrderChange, OrderRecord } from '../../core/trading/records.ts';

/** Does the exchange hold the order to another amount or limit price than we do? */
export function isEdited({ amount, price, orderType }: OrderRecord, report: OrderReport): boolean {
  return !new Exact(amount).eq(report.amount) || (orderType === 'limit' && price !== null && report.price !== null && !new Exact(price).eq(report.price));
}

/** The state that the report leaves the order in. */
export function stateAfter(order: OrderRecord, report: OrderReport, amount = order.amount): OrderRecord['state'] {
  // Somebody else's order may have been filled before we knew it: its own word is all there is.
  const filled = new Exact(order.origin === 'external' ? report.filledAmount : order.filledAmount);
  return stateByReport({ state: order.state, amount, filled }, report);
}

export class Reported {
  /** By the exchange's id: when (µs, its clock) the report was made that changed amount or price. Older ones come late from its lists. */
  readonly #edits = new Map<string, number>();

  /** The change; null: it says nothing new, or nothing that may be. */
  change(order: OrderRecord, report: OrderReport, { event, at }: { event: string; at: number }): OrderChange | null {
    const ended = order.state === 'FILLED' || order.state === 'CANCELLED';
    const edited = !ended && isEdited(order, report) && report.updatedTs >= (this.#edits.get(report.exchangeOrderId) ?? 0);
    const state = stateAfter(order, report, edited ? report.amount : order.amount);
    const settled = order.cancelState !== null && (state === 'CANCELLED' || state === 'FILLED');
    if (order.exchangeOrderId === report.exchangeOrderId && state === order.state && !settled && !edited) return null;
    if (state !== order.state && !mayMove(order.state, state)) return null;
    if (edited) this.#edits.set(report.exchangeOrderId, report.updatedTs);
    return {
      event, at, state,
      exchangeOrderId: report.exchangeOrderId,
      ...(report.reason === null ? {} : { reason: report.reason }),
      ...(settled ? { cancelState: null } : {}),
      ...(edited ? { amount: report.amount } : {}),
      ...(edited && order.price !== null && report.price !== null ? { price: report.price } : {}),
      detail: { state: report.state, filled_amount: report.filledAmount, updated_ts: report.updatedTs },
    };
  }

  /** Nothing more is expected of it. */
  forget(exchangeOrderId: string): void {
    this.#edits.delete(exchangeOrderId);
  }
}
