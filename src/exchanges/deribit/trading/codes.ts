// Every error code of Deribit and what it proves. Source: docs.deribit.com/articles/errors, the complete table (the page's summary
// table contradicts it), read together with the codes' own texts. Whether an order exists after an error is our reading of them:
//   refused     the exchange understood and said no before its matching engine took anything: no order, no change
//   unknown     it may have happened, or still happen until `valid_until`: look it up, never send it again
//   retry_read  about the moment, not the request: a read may be repeated after a pause; a write counts as unknown
// A code that is not here is unknown: only an explicit refusal is a refusal.
export type CodeClass = 'refused' | 'unknown' | 'retry_read';

const refused = (name: string): readonly [string, CodeClass] => [name, 'refused'];
const unknown = (name: string): readonly [string, CodeClass] => [name, 'unknown'];
const retryRead = (name: string): readonly [string, CodeClass] => [name, 'retry_read'];

export const CODES: Readonly<Record<number, readonly [name: string, CodeClass]>> = {
  10000: refused('authorization_required'),
  // "error": says nothing of what was done.
  10001: unknown('error'),
  10002: refused('qty_too_low'),
  10003: refused('order_overlap'),
  10004: refused('order_not_found'),
  10005: refused('price_too_low'),
  10006: refused('price_too_low4idx'),
  10007: refused('price_too_high'),
  10009: refused('not_enough_funds'),
  10010: refused('already_closed'),
  10011: refused('price_not_allowed'),
  10012: refused('book_closed'),
  10019: refused('locked_by_admin'),
  10020: refused('invalid_or_unsupported_instrument'),
  10021: refused('invalid_amount'),
  10023: refused('invalid_price'),
  10026: refused('price_precision_exceeded'),
  10027: refused('non_integer_contract_amount'),
  // Refused by the throttle, and the session may be ended with requests in it.
  10028: retryRead('too_many_requests'),
  10029: refused('not_owner_of_order'),
  10030: refused('must_be_websocket_request'),
  10039: refused('not_enough_funds_in_currency'),
  10040: retryRead('retry'),
  10041: retryRead('settlement_in_progress'),
  10043: refused('price_wrong_tick'),
  10047: retryRead('matching_engine_queue_full'),
  10049: refused('cancel_on_disconnect_failed'),
  // Waited too long for the account's lock; missing from the table, told in the order management article.
  10050: unknown('lock_wait'),
  10066: retryRead('too_many_concurrent_requests'),
  11008: refused('already_filled'),
  11029: refused('invalid_arguments'),
  11030: refused('other_reject'),
  11031: unknown('other_error'),
  11035: refused('no_more_triggers'),
  11036: refused('invalid_trigger_price'),
  11042: refused('permission_denied'),
  11043: refused('bad_argument'),
  11044: refused('not_open_order'),
  11047: refused('unsupported_arg_combination'),
  11050: refused('bad_request'),
  11051: retryRead('system_maintenance'),
  11052: refused('subscribe_error_unsubscribed'),
  11054: refused('post_only_reject'),
  11055: refused('post_only_not_allowed'),
  11056: refused('unauthenticated_public_requests_temporarily_disabled'),
  11094: retryRead('internal_server_error'),
  11098: refused('account_locked'),
  13004: refused('invalid_credentials'),
  13009: refused('unauthorized'),
  13019: refused('orderbook_closed'),
  13020: refused('not_found'),
  13021: refused('forbidden'),
  13025: refused('method_switched_off_by_admin'),
  13028: retryRead('temporarily_unavailable'),
  13032: refused('non_unique_order_label'),
  13042: refused('cod_not_enabled'),
  13403: refused('scope_exceeded'),
  // Our own cancel_by_label purges requests that wait in the queue; whether this one waited is not told.
  13666: unknown('request_cancelled_by_user'),
  13668: refused('security_key_authorization_error'),
  13777: unknown('replaced'),
  13778: refused('raw_subscriptions_not_available_for_unauthorized'),
  // `valid_until` passed. It bounds when the matching engine may take the request, but says nothing of one it took before.
  13888: unknown('timed_out'),
  [-32000]: refused('missing_params'),
  [-32600]: refused('request_entity_too_large_or_invalid'),
  [-32601]: refused('method_not_found'),
  [-32602]: refused('invalid_params'),
  [-32700]: refused('parse_error'),
};

/** `10009 not_enough_funds`; a code that nobody knows is its number. */
export function codeName(code: number): string {
  const known = CODES[code];
  return known === undefined ? String(code) : `${code} ${known[0]}`;
}

export function classOf(code: number): CodeClass {
  return CODES[code]?.[1] ?? 'unknown';
}

/** What a cancellation of an order that works no more is answered with. */
export const NOT_OPEN: ReadonlySet<number> = new Set([10004, 10010, 11008, 11044]);
/** The token is no longer good: log in again. */
export const TOKEN_REFUSED: ReadonlySet<number> = new Set([10000, 13009]);
