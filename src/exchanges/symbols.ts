// Symbols as they come by in frames: checked against the contract once, then found again without building a string.
import { flat, symbolPattern } from './payload.ts';

/** What is kept per symbol: a string of its own (never a slice of a frame) and the head of its payloads. */
export interface KnownSymbol {
  readonly symbol: string;
  readonly codes: Uint8Array;
  /** `{"v":1,"type":"trade","market_id":…,"symbol":…,"exchange_ts":` */
  readonly tradeHead: string;
  readonly ohlcHead: string;
}

/** Direct-mapped, so bounded: a newcomer takes the place of whoever hashed there. */
const SLOTS = 8192;

export class SymbolTable {
  readonly #marketId: string;
  readonly #known: (KnownSymbol | undefined)[] = new Array<KnownSymbol | undefined>(SLOTS).fill(undefined);

  constructor(marketId: string) {
    this.#marketId = marketId;
  }

  /** The symbol that is written in `text`; null when the contract allows no such symbol. */
  find(text: string): KnownSymbol | null {
    return symbolPattern.test(text) && text.isWellFormed() ? this.#learn(text) : null;
  }

  /** The symbol that is written at bytes[start … end]; undefined for one that was not seen lately: ask `remember`. */
  findBytes(bytes: Uint8Array, start: number, end: number): KnownSymbol | undefined {
    const known = this.#known[slotOf(bytes, start, end)];
    if (known === undefined || known.codes.length !== end - start) return undefined;
    const codes = known.codes;
    for (let p = start, c = 0; p < end; p++, c++) if (bytes[p] !== codes[c]) return undefined;
    return known;
  }

  /** `find`, kept for findBytes. */
  remember(text: string): KnownSymbol | null {
    const known = this.find(text);
    if (known !== null) this.#known[slotOf(known.codes, 0, known.codes.length)] = known;
    return known;
  }

  #learn(text: string): KnownSymbol {
    const symbol = flat(text);
    const head = (type: string): string =>
      flat(`{"v":1,"type":"${type}","market_id":"${this.#marketId}","symbol":"${symbol}","exchange_ts":`);
    return { symbol, codes: Buffer.from(symbol), tradeHead: head('trade'), ohlcHead: head('ohlc') };
  }
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let p = start; p < end; p++) hash = (Math.imul(hash, 31) + bytes[p]!) | 0;
  return (hash ^ (hash >>> 13)) & (SLOTS - 1);
}
