// Binance frames → contract messages: {stream, data} of combined streams, bare events, and arrays of events (!…@arr).
// The fast walk reads the frame once with ObjectScanners; whatever it finds unusual goes to the exact walk.
import { isJsonObject, parseExact, type Json, type JsonObject } from '../../core/json.ts';
import { AsciiText, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, endOfValue, skipSpace } from '../../core/scan.ts';
import { Batch } from '../batch.ts';
import type { FrameClass, MessageSink, Normaliser } from '../exchange.ts';
import { ABSENT, TreeFields, type Fields } from '../fields.ts';
import { ObjectScanner } from '../object_scanner.ts';
import { SymbolTable } from '../symbols.ts';
import { CANDLE_KEYS, EVENT_KEYS, K, mapEvent } from './mapping.ts';

const UNUSUAL = -1;

/** `exactOnly` leaves the fast walk out: the reference that tests compare with. */
export function createNormaliser(marketId: string, exactOnly = false): Normaliser {
  const symbols = new SymbolTable(marketId);
  const batch = new Batch();
  const fast = exactOnly ? null : new FastWalk(symbols, batch);
  return {
    normalise(frame: string, receivedTs: number, sink: MessageSink): FrameClass {
      batch.drop();
      let found = fast === null ? null : fast.walk(frame, receivedTs);
      if (found === null) {
        batch.drop();
        found = exactWalk(frame, receivedTs, symbols, batch);
      }
      if (found === 'data') batch.flush(sink);
      return found;
    },
  };
}

class FastWalk {
  readonly #symbols: SymbolTable;
  readonly #batch: Batch;
  readonly #text = new AsciiText();
  readonly #outer = new ObjectScanner(this.#text, EVENT_KEYS, ['data', 'k']);
  readonly #inner = new ObjectScanner(this.#text, EVENT_KEYS, ['k']);
  readonly #candle = new ObjectScanner(this.#text, CANDLE_KEYS);
  #receivedTs = 0;
  /** What the events read so far amount to. */
  #class: FrameClass = 'ignored';

  constructor(symbols: SymbolTable, batch: Batch) {
    this.#symbols = symbols;
    this.#batch = batch;
  }

  /** The frame's class, or null: not for the fast walk. */
  walk(frame: string, receivedTs: number): FrameClass | null {
    if (!this.#text.load(frame)) return null;
    const bytes = this.#text.bytes;
    this.#receivedTs = receivedTs;
    this.#class = 'ignored';
    const start = skipSpace(bytes, 0);
    const wrapped = bytes[start] !== OPEN_BRACKET;
    const p = wrapped ? this.#readOuter(bytes, start) : this.#readArray(bytes, start);
    if (p < 0 || skipSpace(bytes, p) !== frame.length) return null;
    return this.#class;
  }

  #readOuter(bytes: Uint8Array, at: number): number {
    const outer = this.#outer;
    let candle: Fields | null = null;
    let p = outer.scan(at);
    while (p >= 0 && outer.halted >= 0) {
      if (outer.halted === K.data) p = this.#readData(bytes, p);
      else {
        p = this.#candle.scan(p);
        candle = this.#candle;
      }
      if (p >= 0) p = outer.next(p);
    }
    if (p < 0) return UNUSUAL;
    if (outer.kind(K.data) !== ABSENT) return p;
    if (isAnswer(outer)) this.#class = 'control';
    else this.#class = mapEvent(outer, candle, this.#symbols, this.#receivedTs, this.#batch);
    return this.#class === 'malformed' ? UNUSUAL : p;
  }

  #readData(bytes: Uint8Array, at: number): number {
    return bytes[at] === OPEN_BRACKET ? this.#readArray(bytes, at) : this.#readEvent(at);
  }

  /** A mixed array counts as data when one of its events is. */
  #readArray(bytes: Uint8Array, at: number): number {
    let p = skipSpace(bytes, at + 1);
    if (bytes[p] === CLOSE_BRACKET) return p + 1;
    for (;;) {
      const before = this.#class;
      p = bytes[p] === OPEN_BRACE ? this.#readEvent(p) : endOfValue(bytes, p);
      if (p < 0) return UNUSUAL;
      if (before === 'data') this.#class = 'data';
      p = skipSpace(bytes, p);
      const c = bytes[p];
      if (c === CLOSE_BRACKET) return p + 1;
      if (c !== COMMA) return UNUSUAL;
      p = skipSpace(bytes, p + 1);
    }
  }

  #readEvent(at: number): number {
    const inner = this.#inner;
    let candle: Fields | null = null;
    let p = inner.scan(at);
    while (p >= 0 && inner.halted >= 0) {
      p = this.#candle.scan(p);
      candle = this.#candle;
      if (p >= 0) p = inner.next(p);
    }
    if (p < 0) return UNUSUAL;
    this.#class = mapEvent(inner, candle, this.#symbols, this.#receivedTs, this.#batch);
    return this.#class === 'malformed' ? UNUSUAL : p;
  }

}

/** An acknowledgement or an error, to a request of ours or to none. */
function isAnswer(f: Fields): boolean {
  if (f.kind(K.e) !== ABSENT) return false;
  return f.kind(K.result) !== ABSENT || f.kind(K.error) !== ABSENT || (f.kind(K.code) !== ABSENT && f.kind(K.msg) !== ABSENT);
}

/** The reference: the same mapping over a parsed tree. */
function exactWalk(frame: string, receivedTs: number, symbols: SymbolTable, batch: Batch): FrameClass {
  let root: Json;
  try {
    root = parseExact(frame);
  } catch {
    return 'malformed';
  }
  if (Array.isArray(root)) return exactEvents(root, receivedTs, symbols, batch);
  if (!isJsonObject(root)) return 'malformed';
  const data = root.data;
  if (Array.isArray(data)) return exactEvents(data, receivedTs, symbols, batch);
  if (isJsonObject(data)) return exactEvent(data, receivedTs, symbols, batch);
  if (data !== undefined) return 'ignored';
  if (isAnswer(new TreeFields(EVENT_KEYS, root))) return 'control';
  return exactEvent(root, receivedTs, symbols, batch);
}

function exactEvents(events: Json[], receivedTs: number, symbols: SymbolTable, batch: Batch): FrameClass {
  let found: FrameClass = 'ignored';
  for (const event of events) {
    if (!isJsonObject(event)) continue;
    const one = exactEvent(event, receivedTs, symbols, batch);
    if (one === 'malformed') return one;
    if (found !== 'data') found = one;
  }
  return found;
}

function exactEvent(event: JsonObject, receivedTs: number, symbols: SymbolTable, batch: Batch): FrameClass {
  const candle = isJsonObject(event.k) ? new TreeFields(CANDLE_KEYS, event.k) : null;
  return mapEvent(new TreeFields(EVENT_KEYS, event), candle, symbols, receivedTs, batch);
}
