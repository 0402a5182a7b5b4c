// Symbols as they come by in frames: checked against the contract once, then found again without building a string.
import { symbolPattern } from './payload.ts';

/** What is kept per symbol: a string of its own (never a slice of a frame) and the head of its trade payloads. */
export interface KnownSymbol {
  readonly symbol: string;
  /** `{"v":1,"type":"trade","market_id":…,"symbol":…,"exchange_ts":` */
  readonly tradeHead: string;
  readonly ohlcHead: string;
}

/** Direct-mapped, so bounded: a newcomer takes the place of whoever hashed there. */
const SLOTS = 4096;

export class SymbolTable {
  readonly #marketId: string;
  readonly #known: (KnownSymbol | undefined)[] = new Array<KnownSymbol | undefined>(SLOTS).fill(undefined);

  constructor(marketId: string) {
    this.#marketId = marketId;
  }

  /** The symbol that is written in `text`; null when the contract allows no such symbol. */
  find(text: string): KnownSymbol | null {
    const n = text.length;
    let hash = n;
    for (let p = 0; p < n; p++) hash = (Math.imul(hash, 31) + text.charCodeAt(p)) | 0;
    const slot = (hash ^ (hash >>> 12)) & (SLOTS - 1);
    const known = this.#known[slot];
    if (known !== undefined && known.symbol === text) return known;
    return this.#learn(text, slot);
  }

  #learn(text: string, slot: number): KnownSymbol | null {
    if (!symbolPattern.test(text) || !text.isWellFormed()) return null;
    const symbol = text.split('').join('');
    const head = (type: string): string =>
      `{"v":1,"type":"${type}","market_id":"${this.#marketId}","symbol":"${symbol}","exchange_ts":`;
    const known = { symbol, tradeHead: head('trade'), ohlcHead: head('ohlc') };
    this.#known[slot] = known;
    return known;
  }
}
