// The text of a stream entry's `payload`, in the contract's key order. Everything put between quotes here has been
// checked to need no escape: symbols and ids by their contract patterns, decimals by their grammar.
import { TICKER_CORE_FIELDS, TICKER_FIELDS, type TickerPatch } from './exchange.ts';

export const symbolPattern = /^[^\s\x00-\x1f\x7f"\\]{1,96}$/;

const THREE_DIGITS = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));
let lastSeconds = -1;
let lastSecondsText = '';

/** An integer of µs as text; several times faster than String() on numbers beyond 2^31, as most are in the same second. */
export function microsText(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  if (seconds !== lastSeconds) {
    lastSeconds = seconds;
    lastSecondsText = String(seconds);
  }
  const rest = micros - seconds * 1_000_000;
  const millis = Math.floor(rest / 1000);
  return lastSecondsText + THREE_DIGITS[millis] + THREE_DIGITS[rest - millis * 1000];
}

const FIELD_HEADS = TICKER_FIELDS.map((field) => `,"${field}":`);

/** A `ticker` message of what a patch (or a merge of patches) tells: core fields always, option fields once told. */
export function tickerPayload(marketId: string, patch: TickerPatch): string {
  let text = '{"v":1,"type":"ticker","market_id":"' + marketId + '","symbol":"' + patch.symbol +
    '","exchange_ts":' + microsText(patch.exchangeTs) + ',"received_ts":' + microsText(patch.receivedTs);
  const values = patch.values;
  for (let i = 0; i < FIELD_HEADS.length; i++) {
    const value = values[i];
    if (typeof value === 'string') text += FIELD_HEADS[i] + '"' + value + '"';
    else if (value === null || i < TICKER_CORE_FIELDS) text += FIELD_HEADS[i] + 'null';
  }
  return text + '}';
}
