// Every reason for which a signal is not sent.
export const REFUSALS = {
  MALFORMED: 'the signal is not as the contract says',
  UNAUTHENTICATED: 'the signal carries no valid mac',
  DUPLICATE_SIGNAL: 'the signal_id is known',
  STALE_SIGNAL: 'its time has passed, or it comes from the future',
  UNKNOWN_STRATEGY: 'the risk file does not allow the strategy',
  UNKNOWN_INSTRUMENT: 'no such instrument',
  NOT_ALLOWED: 'the risk file does not allow the instrument',
  NOT_TRADABLE: 'the instrument has expired, is not open, or is a combo',
  BAD_AMOUNT: 'the amount is no positive plain decimal',
  BAD_PRICE: 'the price is no plain decimal that the instrument can have',
  OFF_TICK: 'the price is not on the tick',
  OFF_LOT: 'the amount is not on the lot',
  BELOW_MINIMUM: 'the amount is below the exchange\'s minimum',
  BAD_ORDER: 'fields that do not go together',
  ORDER_AMOUNT: 'above max_order_amount',
  ORDER_NOTIONAL: 'above max_order_notional',
  NO_REFERENCE: 'no mark or last price to hold the order against',
  STALE_REFERENCE: 'the mark or last price is too old',
  PRICE_COLLAR: 'too far from mark or last',
  POSITION: 'above max_position with open orders counted',
  GROSS_NOTIONAL: 'above max_gross_notional with open orders counted',
  OPEN_ORDERS: 'max_open_orders reached',
  RATE: 'max_orders_per_second or per_minute reached',
  REPEATED: 'too many executions of the same kind in the window',
  DUPLICATE_ORDER: 'the same order again within duplicate_window_ms',
  DAILY_LOSS: 'max_daily_loss reached',
  MARGIN: 'less than min_available_percent of equity is available',
  NO_ACCOUNT: 'the account\'s figures are missing or old',
  CLOCK: 'our clock differs too much from the exchange\'s, or is not known to agree',
  FEED: 'the instrument\'s feed is not known to be fresh',
  STATE: 'the system is not HEALTHY, or the books are in doubt: only orders that reduce are sent',
  KILL_SWITCH: 'the kill switch is on',
  NOT_LEADER: 'another executor trades',
  NO_GUARD: 'no guard is armed for this account: who would cancel if this process died?',
  NOT_RECONCILED: 'the books have not been reconciled with the exchange',
  LOCKED: 'the executor has locked itself',
  OBSERVE: 'EXECUTOR_MODE is observe: nothing is ever sent',
  UNKNOWN_ORDER: 'no order with this label works',
  NOT_COMMITTED: 'the intent could not be committed in time',
} as const;

export type RefusalCode = keyof typeof REFUSALS;

/** A check's no. `detail` holds the figures. */
export interface Refused {
  code: RefusalCode;
  detail: string;
}

export const refuse = (code: RefusalCode, detail: string): Refused => ({ code, detail });
