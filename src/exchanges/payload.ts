// The text of a stream entry's `payload`, in the contract's key order. Everything put between quotes here has been
// checked to need no escape: symbols and ids by their contract patterns, decimals by their grammar.
import { TICKER_CORE_FIELDS, TICKER_FIELDS, type TickerPatch } from './exchange.ts';

export const symbolPattern = /^[^\s\x00-\x1f\x7f"\\]{1,96}$/;

const FOUR_DIGITS = Array.from({ length: 10_000 }, (_, n) => String(n).padStart(4, '0'));
const TEN_MILLIS = 10_000;

/** Writes integers of µs, several times faster than String() does beyond 2^31. One for each stream of times: all but the
 *  last four digits of the last one are kept. */
function microsWriter(): (micros: number) => string {
  let lastLead = -1;
  let lead = '';
  return (micros) => {
    const high = Math.floor(micros / TEN_MILLIS);
    if (high !== lastLead) {
      lastLead = high;
      const top = Math.floor(high / 10_000);
      lead = String(top) + FOUR_DIGITS[high - top * 10_000];
    }
    return lead + FOUR_DIGITS[micros - high * TEN_MILLIS];
  };
}

/** Exchange times as text. */
export const exchangeText = microsWriter();
/** Receive times as text. */
export const receivedText = microsWriter();

/** What a ticker payload starts with, by market and symbol. */
const heads = new Map<string, Map<string, string>>();
const MAX_HEADS = 20_000;

function tickerHead(marketId: string, symbol: string): string {
  const known = heads.get(marketId)?.get(symbol);
  if (known !== undefined) return known;
  const ofMarket = heads.get(marketId) ?? new Map<string, string>();
  if (ofMarket.size >= MAX_HEADS) ofMarket.clear();
  const head = `{"v":1,"type":"ticker","market_id":"${marketId}","symbol":"${symbol}","exchange_ts":`;
  ofMarket.set(symbol, head);
  heads.set(marketId, ofMarket);
  return head;
}

// Few pieces make a cheap text (joining costs 20 ns a piece): a field's head also closes the string before it, and what is
// told most often, quotes alone, is one expression.
const AFTER_TEXT = TICKER_FIELDS.map((field) => `","${field}":`);
const AFTER_NULL = TICKER_FIELDS.map((field) => `,"${field}":`);
const NULL_AFTER_TEXT = AFTER_TEXT.map((head) => `${head}null`);
const NULL_AFTER_NULL = AFTER_NULL.map((head) => `${head}null`);
const QUOTED_AFTER_TEXT = AFTER_TEXT.map((head) => `${head}"`);
const QUOTED_AFTER_NULL = AFTER_NULL.map((head) => `${head}"`);
const QUOTE_FIELDS = 4;
const NO_STATISTICS = `"${NULL_AFTER_NULL.slice(QUOTE_FIELDS, TICKER_CORE_FIELDS).join('')}}`;

/** A `ticker` message of what a patch (or a merge of patches) tells: core fields always, option fields once told. */
export function tickerPayload(marketId: string, patch: TickerPatch): string {
  const values = patch.values;
  const head = tickerHead(marketId, patch.symbol) + exchangeText(patch.exchangeTs) + ',"received_ts":' +
    receivedText(patch.receivedTs);
  const bid = values[0];
  const bidAmount = values[1];
  const ask = values[2];
  const askAmount = values[3];
  if (typeof bid !== 'string' || typeof bidAmount !== 'string' || typeof ask !== 'string' || typeof askAmount !== 'string') {
    return fields(head, values, 0, false);
  }
  const quotes = head + ',"best_bid_price":"' + bid + '","best_bid_amount":"' + bidAmount + '","best_ask_price":"' + ask +
    '","best_ask_amount":"' + askAmount;
  const onlyQuotes = values.length <= TICKER_CORE_FIELDS && typeof values[4] !== 'string' && typeof values[5] !== 'string' &&
    typeof values[6] !== 'string' && typeof values[7] !== 'string' && typeof values[8] !== 'string' && typeof values[9] !== 'string';
  return onlyQuotes ? quotes + NO_STATISTICS : fields(quotes, values, QUOTE_FIELDS, true);
}

/** The fields from `from` on, and the end. `open`: the text ends inside a string. */
function fields(head: string, values: TickerPatch['values'], from: number, open: boolean): string {
  let text = head;
  let inside = open;
  const told = values.length > TICKER_CORE_FIELDS ? TICKER_FIELDS.length : TICKER_CORE_FIELDS;
  for (let i = from; i < told; i++) {
    const value = values[i];
    if (typeof value === 'string') {
      text = text + (inside ? QUOTED_AFTER_TEXT[i] : QUOTED_AFTER_NULL[i]) + value;
      inside = true;
    } else if (value === null || i < TICKER_CORE_FIELDS) {
      text = text + (inside ? NULL_AFTER_TEXT[i] : NULL_AFTER_NULL[i]);
      inside = false;
    }
  }
  return text + (inside ? '"}' : '}');
}
