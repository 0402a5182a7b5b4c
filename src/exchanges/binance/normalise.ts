// Binance frames → contract messages: {stream, data} of combined streams, bare events, and arrays of events (!…@arr).
import { isJsonObject, type Json, type JsonObject } from '../../core/json.ts';
import { AsciiText, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, endOfValue, skipSpace } from '../../core/scan.ts';
import { Batch } from '../batch.ts';
import type { FrameClass, MessageSink, Normaliser } from '../exchange.ts';
import { Fields } from '../fields.ts';
import { ABSENT } from '../kinds.ts';
import { SymbolTable } from '../symbols.ts';
import { normaliserOf, type Walk } from '../walk.ts';
import { CANDLE_KEYS, EVENT_KEYS, K, mapEvent } from './mapping.ts';

const UNUSUAL = -1;

/** See Normaliser; `exactOnly` is for tests. */
export function createNormaliser(marketId: string, exactOnly = false): Normaliser {
  return normaliserOf(new BinanceWalk(marketId), exactOnly);
}

class BinanceWalk implements Walk {
  readonly #symbols: SymbolTable;
  readonly #batch = new Batch();
  readonly #text = new AsciiText();
  readonly #outer = new Fields(this.#text, EVENT_KEYS, ['data', 'k']);
  readonly #inner = new Fields(this.#text, EVENT_KEYS, ['k']);
  readonly #candle = new Fields(this.#text, CANDLE_KEYS);
  #receivedTs = 0;
  /** The event to map once the frame has been read to its end; null when there is none, or an array of them. */
  #event: Fields | null = null;
  #eventHasCandle = false;
  /** What the events of an array amount to. */
  #class: FrameClass = 'ignored';

  constructor(marketId: string) {
    this.#symbols = new SymbolTable(marketId);
  }

  quick(frame: string, receivedTs: number, sink: MessageSink): FrameClass | null {
    if (!this.#text.load(frame)) return null;
    const bytes = this.#text.bytes;
    this.#begin(receivedTs);
    const start = skipSpace(bytes, 0);
    const p = bytes[start] === OPEN_BRACKET ? this.#scanArray(bytes, start) : this.#scanOuter(bytes, start);
    if (p < 0 || skipSpace(bytes, p) !== frame.length) return null;
    return this.#event === null ? this.#finish(sink) : this.#map(this.#event, receivedTs, sink);
  }

  /** Forgets the frame before. */
  #begin(receivedTs: number): void {
    this.#receivedTs = receivedTs;
    this.#event = null;
    this.#class = 'ignored';
    this.#batch.drop();
  }

  #finish(sink: MessageSink): FrameClass {
    if (this.#class === 'data') this.#batch.flush(sink);
    return this.#class;
  }

  #map(event: Fields, receivedTs: number, sink: MessageSink): FrameClass | null {
    const candle = this.#eventHasCandle ? this.#candle : null;
    const found = mapEvent(event, candle, this.#symbols, receivedTs, sink);
    return found === 'malformed' ? null : found;
  }

  #scanOuter(bytes: Uint8Array, at: number): number {
    const outer = this.#outer;
    let candle = false;
    let p = outer.scan(at);
    while (p >= 0 && outer.halted >= 0) {
      if (outer.halted === K.data) {
        p = bytes[p] === OPEN_BRACKET ? this.#scanArray(bytes, p) : this.#scanEvent(p);
      } else {
        candle = true;
        p = this.#candle.scan(p);
      }
      if (p >= 0) p = outer.next(p);
    }
    if (p < 0 || outer.kind(K.data) !== ABSENT) return p;
    if (isAnswer(outer)) {
      this.#class = 'control';
      return p;
    }
    this.#event = outer;
    this.#eventHasCandle = candle;
    return p;
  }

  #scanEvent(at: number): number {
    const inner = this.#inner;
    let candle = false;
    let p = inner.scan(at);
    while (p >= 0 && inner.halted >= 0) {
      candle = true;
      p = this.#candle.scan(p);
      if (p >= 0) p = inner.next(p);
    }
    this.#event = inner;
    this.#eventHasCandle = candle;
    return p;
  }

  #scanArray(bytes: Uint8Array, at: number): number {
    let p = skipSpace(bytes, at + 1);
    if (bytes[p] === CLOSE_BRACKET) return p + 1;
    for (;;) {
      if (bytes[p] === OPEN_BRACE) {
        p = this.#scanEvent(p);
        if (p < 0) return UNUSUAL;
        const candle = this.#eventHasCandle ? this.#candle : null;
        const found = mapEvent(this.#inner, candle, this.#symbols, this.#receivedTs, this.#batch);
        if (found === 'malformed') return UNUSUAL;
        if (this.#class !== 'data') this.#class = found;
        this.#event = null;
      } else {
        p = endOfValue(bytes, p);
        if (p < 0) return UNUSUAL;
      }
      p = skipSpace(bytes, p);
      const c = bytes[p];
      if (c === CLOSE_BRACKET) return p + 1;
      if (c !== COMMA) return UNUSUAL;
      p = skipSpace(bytes, p + 1);
    }
  }

  exact(root: Json, receivedTs: number, sink: MessageSink): FrameClass {
    if (Array.isArray(root)) return this.#exactArray(root, receivedTs, sink);
    if (!isJsonObject(root)) return 'malformed';
    const data = root.data;
    if (Array.isArray(data)) return this.#exactArray(data, receivedTs, sink);
    if (isJsonObject(data)) return this.#exactEvent(data, receivedTs, sink);
    if (data !== undefined) return 'ignored';
    return isAnswer(this.#outer.take(root)) ? 'control' : this.#exactEvent(root, receivedTs, sink);
  }

  /** A mixed array counts as data when one of its events is. */
  #exactArray(events: Json[], receivedTs: number, sink: MessageSink): FrameClass {
    const batch = this.#batch;
    batch.drop();
    let found: FrameClass = 'ignored';
    for (const event of events) {
      if (!isJsonObject(event)) continue;
      const one = this.#exactEvent(event, receivedTs, batch);
      if (one === 'malformed') return one;
      if (found !== 'data') found = one;
    }
    if (found === 'data') batch.flush(sink);
    return found;
  }

  #exactEvent(event: JsonObject, receivedTs: number, sink: MessageSink): FrameClass {
    const candle = isJsonObject(event.k) ? this.#candle.take(event.k) : null;
    return mapEvent(this.#inner.take(event), candle, this.#symbols, receivedTs, sink);
  }
}

/** An acknowledgement or an error, to a request of ours or to none. */
function isAnswer(f: Fields): boolean {
  if (f.kind(K.e) !== ABSENT) return false;
  return f.kind(K.result) !== ABSENT || f.kind(K.error) !== ABSENT || (f.kind(K.code) !== ABSENT && f.kind(K.msg) !== ABSENT);
}
