// The hot path: a trade or ticker in the spelling of our own receiver, from the socket's bytes to the few numbers that the analysis
// needs, in one pass and without an object in between. Anything spelled otherwise, or with a value that is not as it should be, is
// "unusual" and left to the reference path (decode.ts), which says what is wrong with it.
import type { Analysis, Tracked } from '../../core/analysis/analysis.ts';
import { MessageFields } from '../../core/analysis/message_fields.ts';
import { CLOSE_BRACE, COLON, COMMA, DOT, MARGIN, MINUS, NINE, QUOTE, ZERO, endOfString, endOfValue } from '../../core/scan.ts';
import { isMarket, isSymbol } from './decode.ts';

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

const HEAD = ascii('{"v":1,"type":"');
const TRADE = ascii('trade","market_id":"');
const TICKER = ascii('ticker","market_id":"');
const OTHERS = [ascii('ohlc","'), ascii('feed_status","')];
const SYMBOL = ascii('","symbol":"');
const EXCHANGE_TS = ascii('","exchange_ts":');
const RECEIVED_TS = ascii(',"received_ts":');
const NULL = ascii('null');
const BUY = ascii('"buy"');
const SELL = ascii('"sell"');
const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const MAX_PAYLOAD = 16_384;
/** Digits that a double holds exactly, with room for the last step. */
const EXACT_DIGITS = 15;
const POWERS = Array.from({ length: 23 }, (_power, n) => 10 ** n);
const HASHED = 16;
const MAX_KNOWN = 50_000;

const hashOf = (source: Uint8Array, start: number, end: number): number => {
  let hash = end - start;
  for (let p = start; p < end; p++) hash = (Math.imul(hash, 31) + source[p]!) | 0;
  return hash;
};
const keyHash = (key: string): number => hashOf(ascii(key), 0, key.length);

const KEYS = {
  price: keyHash('price'), amount: keyHash('amount'), side: keyHash('side'), liquidation: keyHash('liquidation'),
  bid: keyHash('best_bid_price'), ask: keyHash('best_ask_price'), openInterest: keyHash('open_interest'), fundingRate: keyHash('funding_rate'),
  markIv: keyHash('mark_iv'),
} as const;
/** Keys that a message must have, as many bits. */
const NEEDED = { trade: 3, ticker: 4 } as const;

interface Known {
  readonly bytes: Uint8Array;
  tracked: Tracked;
}

/** `data`: the public fields speak of the message. `other`: a message that the analysis has no use for. */
export type Scanned = 'data' | 'other' | 'unusual';

export class MessageScanner {
  readonly fields = new MessageFields();
  /** Whose message the last `data` was. */
  tracked!: Tracked;
  readonly #analysis: Pick<Analysis, 'track'>;
  /** The payload, with a zero behind it: a scan stops there without knowing the length. */
  readonly #bytes = Buffer.alloc(MAX_PAYLOAD + MARGIN);
  readonly #known = new Map<number, Known[]>();
  #knownCount = 0;
  #at = 0;
  #number = 0;
  #seen = 0;

  constructor(analysis: Pick<Analysis, 'track'>) {
    this.#analysis = analysis;
  }

  scan(source: Uint8Array, start: number, end: number): Scanned {
    const length = end - start;
    if (start < 0 || length > MAX_PAYLOAD) return 'unusual';
    // A copy of some 200 bytes costs less than a check of the end at every byte.
    this.#bytes.set(source.subarray(start, end));
    this.#bytes[length] = 0;
    this.#at = 0;
    if (!this.#literal(HEAD)) return 'unusual';
    if (this.#literal(TRADE)) this.fields.kind = 'trade';
    else if (this.#literal(TICKER)) this.fields.kind = 'ticker';
    else return OTHERS.some((text) => this.#literal(text)) ? 'other' : 'unusual';
    return this.#message(length) ? 'data' : 'unusual';
  }

  #message(length: number): boolean {
    const { fields } = this;
    const bytes = this.#bytes;
    const keyStart = this.#at;
    if (!this.#string() || !this.#literal(SYMBOL) || !this.#string()) return false;
    const keyEnd = this.#at;
    if (!this.#literal(EXCHANGE_TS) || !this.#micros()) return false;
    fields.exchangeTs = this.#number;
    if (!this.#literal(RECEIVED_TS) || !this.#micros()) return false;
    fields.receivedTs = this.#number;
    fields.clear();
    this.#seen = 0;
    while (bytes[this.#at] === COMMA) if (!this.#member()) return false;
    if (bytes[this.#at] !== CLOSE_BRACE || this.#at + 1 !== length || this.#seen !== NEEDED[fields.kind]) return false;
    const tracked = this.#find(keyStart, keyEnd);
    if (tracked !== null) this.tracked = tracked;
    return tracked !== null;
  }

  /** `,"key":value` */
  #member(): boolean {
    const bytes = this.#bytes;
    const start = this.#at + 2;
    if (bytes[start - 1] !== QUOTE) return false;
    const keyEnd = endOfString(bytes, start);
    if (keyEnd < 0 || bytes[keyEnd + 1] !== COLON) return false;
    const value = keyEnd + 2;
    const end = endOfValue(bytes, value);
    if (end < 0) return false;
    this.#at = end;
    return this.#take(hashOf(bytes, start, keyEnd), value, end);
  }

  #take(key: number, value: number, end: number): boolean {
    const { fields } = this;
    if (fields.kind === 'trade') {
      switch (key) {
        case KEYS.price:
          return this.#decimal(value, end) && ((fields.price = this.#number), ++this.#seen > 0);
        case KEYS.amount:
          // An amount has no sign, not even that of -0.
          return this.#decimal(value, end) && (this.#number > 0 || Object.is(this.#number, 0)) && ((fields.amount = this.#number), ++this.#seen > 0);
        case KEYS.side:
          return this.#side(value) && ++this.#seen > 0;
        case KEYS.liquidation:
          fields.isLiquidation = true;
          return true;
        default:
          return true;
      }
    }
    switch (key) {
      case KEYS.bid:
        return this.#optional(value, end) && ((fields.bid = this.#number), ++this.#seen > 0);
      case KEYS.ask:
        return this.#optional(value, end) && ((fields.ask = this.#number), ++this.#seen > 0);
      case KEYS.openInterest:
        return this.#optional(value, end) && ((fields.openInterest = this.#number), ++this.#seen > 0);
      case KEYS.fundingRate:
        return this.#optional(value, end) && ((fields.fundingRate = this.#number), ++this.#seen > 0);
      case KEYS.markIv:
        return this.#optional(value, end) && ((fields.markIv = this.#number), true);
      default:
        return true;
    }
  }

  #side(start: number): boolean {
    const end = this.#at;
    this.#at = start;
    this.fields.isBuy = this.#literal(BUY);
    return (this.fields.isBuy || this.#literal(SELL)) && this.#at === end;
  }

  /** A decimal in quotes, or null: NaN. */
  #optional(start: number, end: number): boolean {
    if (this.#bytes[start] === QUOTE) return this.#decimal(start, end);
    this.#number = Number.NaN;
    this.#at = start;
    const isNull = this.#literal(NULL);
    this.#at = end;
    return isNull;
  }

  /** `"-?digits(.digits)?"` from `start` to before `end`, both quotes included. */
  #decimal(start: number, end: number): boolean {
    const bytes = this.#bytes;
    if (bytes[start] !== QUOTE) return false;
    const negative = bytes[start + 1] === MINUS;
    const first = start + (negative ? 2 : 1);
    let mantissa = 0;
    let digits = 0;
    let point = -1;
    if (bytes[first] === ZERO && bytes[first + 1] !== DOT && bytes[first + 1] !== QUOTE) return false;
    for (let p = first; p < end - 1; p++) {
      const c = bytes[p]!;
      if (c === DOT) {
        if (point >= 0 || p === first || p === end - 2) return false;
        point = p;
      } else {
        if (c < ZERO || c > NINE) return false;
        mantissa = mantissa * 10 + (c - ZERO);
        digits++;
      }
    }
    if (digits === 0) return false;
    const decimals = point < 0 ? 0 : end - 2 - point;
    const isExact = digits <= EXACT_DIGITS && decimals < POWERS.length;
    const value = isExact ? mantissa / POWERS[decimals]! : Number(bytes.toString('latin1', first, end - 1));
    this.#number = negative ? -value : value;
    return true;
  }

  #micros(): boolean {
    const bytes = this.#bytes;
    let p = this.#at;
    let value = 0;
    for (let c = bytes[p]!; c >= ZERO && c <= NINE; c = bytes[++p]!) value = value * 10 + (c - ZERO);
    this.#at = p;
    this.#number = value;
    return value >= MIN_MICROS && value <= MAX_MICROS;
  }

  /** To the closing quote of the string that begins here. */
  #string(): boolean {
    const end = endOfString(this.#bytes, this.#at);
    if (end <= this.#at) return false;
    this.#at = end;
    return true;
  }

  #literal(text: Uint8Array): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
    this.#at = start + text.length;
    return true;
  }

  /** By the bytes `<market_id>","symbol":"<symbol>`: no string is made for a symbol that is known. null: the contract has no such names. */
  #find(start: number, end: number): Tracked | null {
    const bytes = this.#bytes;
    const hash = hashOf(bytes, Math.max(start, end - HASHED), end);
    const others = this.#known.get(hash);
    const known = others?.find((each) => isSame(each.bytes, bytes, start, end));
    if (known !== undefined) {
      if (known.tracked.gone) known.tracked = this.#analysis.track(known.tracked.marketId, known.tracked.symbol);
      return known.tracked;
    }
    const [marketId = '', symbol = ''] = bytes.toString('utf8', start, end).split('","symbol":"');
    if (!isMarket(marketId) || !isSymbol(symbol)) return null;
    const tracked = this.#analysis.track(marketId, symbol);
    if (++this.#knownCount > MAX_KNOWN) {
      this.#known.clear();
      this.#knownCount = 0;
    }
    this.#known.set(hash, [...(others ?? []), { bytes: Uint8Array.from(bytes.subarray(start, end)), tracked }]);
    return tracked;
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
