// The text of a stream entry's `payload`, in the contract's key order. Everything put between quotes here has been
// checked to need no escape: symbols and ids by their contract patterns, decimals by their grammar.
import { TICKER_CORE_FIELDS, TICKER_FIELDS, type TickerPatch } from './exchange.ts';

export const symbolPattern = /^[^\s\x00-\x1f\x7f"\\]{1,96}$/;

/** The same text in one piece of memory: a string that was put together is a tree, and would be walked in every payload. */
export function flat(text: string): string {
  return Buffer.from(text).toString();
}

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
      lead = String(top) + FOUR_DIGITS[high - top * 10_000]!;
    }
    return lead + FOUR_DIGITS[micros - high * TEN_MILLIS]!;
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
  const head = flat(`{"v":1,"type":"ticker","market_id":"${marketId}","symbol":"${symbol}","exchange_ts":`);
  ofMarket.set(symbol, head);
  heads.set(marketId, ofMarket);
  return head;
}

// Few pieces make a cheap text: joining costs 20 ns a piece. So everything between two values, absent fields included, is
// one literal, made once for each combination of fields that are told: templates.get(combination) = what stands before
// the first value, between the values, and behind the last.
interface Template {
  readonly literals: readonly string[];
  /** Positions of the values. */
  readonly slots: readonly number[];
}
const templates = new Map<number, Template>();

/** Which fields are told, in bits: a value, and above those, for option fields only, a null. */
function combinationOf(values: TickerPatch['values']): number {
  let told = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === 'string') told |= 1 << i;
    else if (value === null && i >= TICKER_CORE_FIELDS) told |= 1 << (TICKER_FIELDS.length + i - TICKER_CORE_FIELDS);
  }
  return told;
}

function templateOf(combination: number): Template {
  const literals: string[] = [];
  const slots: number[] = [];
  let literal = '';
  for (const [i, field] of TICKER_FIELDS.entries()) {
    if ((combination & (1 << i)) !== 0) {
      literals.push(`${literal},"${field}":"`);
      slots.push(i);
      literal = '"';
    } else if (i < TICKER_CORE_FIELDS || (combination & (1 << (TICKER_FIELDS.length + i - TICKER_CORE_FIELDS))) !== 0) {
      literal += `,"${field}":null`;
    }
  }
  literals.push(`${literal}}`);
  const template = { literals: literals.map(flat), slots };
  templates.set(combination, template);
  return template;
}

/** A `ticker` message of what a patch (or a merge of patches) tells: core fields always, option fields once told. */
export function tickerPayload(marketId: string, patch: TickerPatch): string {
  const values = patch.values;
  const combination = combinationOf(values);
  const { literals, slots } = templates.get(combination) ?? templateOf(combination);
  const received = receivedText(patch.receivedTs);
  // Equal where the venue tells no time of its own.
  const exchange = patch.exchangeTs === patch.receivedTs ? received : exchangeText(patch.exchangeTs);
  let text = tickerHead(marketId, patch.symbol) + exchange + ',"received_ts":' + received;
  const count = slots.length;
  for (let i = 0; i < count; i++) text = text + literals[i]! + values[slots[i]!]!;
  return text + literals[count]!;
}
