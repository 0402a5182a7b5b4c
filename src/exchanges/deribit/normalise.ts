// Deribit frames → contract messages: {jsonrpc, method: "subscription", params: {channel, data}}. The fast walk reads the
// frame once with ObjectScanners; whatever it finds unusual goes to the exact walk, which decides what is malformed.
import { parseExact, isJsonObject, type Json, type JsonObject } from '../../core/json.ts';
import { AsciiText, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, endOfValue, skipSpace } from '../../core/scan.ts';
import { Batch } from '../batch.ts';
import type { FrameClass, MessageSink, Normaliser } from '../exchange.ts';
import { ABSENT, NESTED, STRING, TreeFields, Word, slotsOf } from '../fields.ts';
import { ObjectScanner } from '../object_scanner.ts';
import { SymbolTable } from '../symbols.ts';
import {
  CANDLE_KEYS, GREEKS_KEYS, STATS_KEYS, TICKER_KEYS, TRADE_KEYS,
  candleChannel, mapCandle, mapTicker, mapTrade, receivedPart, topicOf, type Topic,
} from './mapping.ts';

const ENVELOPE_KEYS = ['jsonrpc', 'method', 'params', 'result', 'error'] as const;
const PARAMS_KEYS = ['channel', 'data'] as const;
const E = slotsOf(ENVELOPE_KEYS);
const P = slotsOf(PARAMS_KEYS);
const SUBSCRIPTION = new Word('subscription');
const HEARTBEAT = new Word('heartbeat');
const STATS = TICKER_KEYS.indexOf('stats');
/** Answers of the fast walk beside positions: go the exact way. */
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
  readonly #envelope = new ObjectScanner(this.#text, ENVELOPE_KEYS, ['params']);
  readonly #params = new ObjectScanner(this.#text, PARAMS_KEYS, ['data']);
  readonly #trade = new ObjectScanner(this.#text, TRADE_KEYS);
  readonly #ticker = new ObjectScanner(this.#text, TICKER_KEYS, ['stats', 'greeks']);
  readonly #stats = new ObjectScanner(this.#text, STATS_KEYS);
  readonly #greeks = new ObjectScanner(this.#text, GREEKS_KEYS);
  readonly #candle = new ObjectScanner(this.#text, CANDLE_KEYS);
  #topic: Topic = 'other';
  #receivedTs = 0;

  constructor(symbols: SymbolTable, batch: Batch) {
    this.#symbols = symbols;
    this.#batch = batch;
  }

  /** The frame's class, or null: not for the fast walk. */
  walk(frame: string, receivedTs: number): FrameClass | null {
    const envelope = this.#envelope;
    if (!this.#text.load(frame)) return null;
    const bytes = this.#text.bytes;
    this.#receivedTs = receivedTs;
    this.#topic = 'other';
    let p = envelope.scan(skipSpace(bytes, 0));
    let hasParams = false;
    while (p >= 0 && envelope.halted >= 0) {
      if (bytes[p] !== OPEN_BRACE) return null;
      hasParams = true;
      p = this.#readParams(bytes, p);
      if (p >= 0) p = envelope.next(p);
    }
    if (p < 0 || skipSpace(bytes, p) !== frame.length) return null;
    if (!envelope.is(E.method, SUBSCRIPTION)) return this.#otherClass();
    if (!hasParams || this.#params.kind(P.channel) !== STRING) return null;
    if (this.#topic === 'other') return 'ignored';
    return this.#topic === 'control' ? 'control' : 'data';
  }

  #otherClass(): FrameClass {
    const envelope = this.#envelope;
    if (envelope.kind(E.method) !== STRING) {
      return envelope.kind(E.result) !== ABSENT || envelope.kind(E.error) !== ABSENT ? 'control' : 'ignored';
    }
    return envelope.is(E.method, HEARTBEAT) ? 'control' : 'ignored';
  }

  /** Reads `params`, messages into the batch; the position behind it. */
  #readParams(bytes: Uint8Array, at: number): number {
    const params = this.#params;
    let dataAt = 0;
    let p = params.scan(at);
    while (p >= 0 && params.halted >= 0) {
      if (params.kind(P.channel) === STRING) {
        this.#topic = topicOf(params, P.channel);
        p = this.#readData(bytes, p);
      } else {
        // data before its channel: read again once the channel is known
        dataAt = p;
        p = endOfValue(bytes, p);
      }
      if (p >= 0) p = params.next(p);
    }
    if (p < 0 || params.kind(P.channel) !== STRING) return p;
    if (dataAt > 0 || params.kind(P.data) === ABSENT) this.#topic = topicOf(params, P.channel);
    if (dataAt > 0) return this.#readData(bytes, dataAt) < 0 ? UNUSUAL : p;
    return params.kind(P.data) === NESTED || !isData(this.#topic) ? p : UNUSUAL;
  }

  #readData(bytes: Uint8Array, at: number): number {
    switch (this.#topic) {
      case 'trades':
        return this.#readTrades(bytes, at);
      case 'ticker':
        return this.#readTicker(at);
      case 'candle':
        return this.#readCandle(bytes, at);
      default:
        return endOfValue(bytes, at);
    }
  }

  #readTrades(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== OPEN_BRACKET) return UNUSUAL;
    const received = receivedPart(this.#receivedTs);
    let p = skipSpace(bytes, at + 1);
    for (;;) {
      p = this.#trade.scan(p);
      if (p < 0 || !mapTrade(this.#trade, this.#symbols, received, this.#batch)) return UNUSUAL;
      p = skipSpace(bytes, p);
      const c = bytes[p];
      if (c === CLOSE_BRACKET) return p + 1;
      if (c !== COMMA) return UNUSUAL;
      p = skipSpace(bytes, p + 1);
    }
  }

  #readTicker(at: number): number {
    const ticker = this.#ticker;
    let stats = null;
    let greeks = null;
    let p = ticker.scan(at);
    while (p >= 0 && ticker.halted >= 0) {
      if (ticker.halted === STATS) {
        stats = this.#stats;
        p = stats.scan(p);
      } else {
        greeks = this.#greeks;
        p = greeks.scan(p);
      }
      if (p >= 0) p = ticker.next(p);
    }
    if (p < 0) return UNUSUAL;
    return mapTicker(ticker, stats, greeks, this.#symbols, this.#receivedTs, this.#batch) ? p : UNUSUAL;
  }

  #readCandle(bytes: Uint8Array, at: number): number {
    const channel = candleChannel(this.#params.text(P.channel));
    if (channel === null) {
      this.#topic = 'other';
      return endOfValue(bytes, at);
    }
    const p = this.#candle.scan(at);
    if (p < 0) return UNUSUAL;
    const mapped = mapCandle(
      this.#candle, channel.symbol, channel.resolution, this.#symbols, this.#receivedTs, this.#batch,
    );
    return mapped ? p : UNUSUAL;
  }
}

function isData(topic: Topic): boolean {
  return topic !== 'other' && topic !== 'control';
}

/** The reference: the same mapping over a parsed tree. */
function exactWalk(frame: string, receivedTs: number, symbols: SymbolTable, batch: Batch): FrameClass {
  let root: Json;
  try {
    root = parseExact(frame);
  } catch {
    return 'malformed';
  }
  if (!isJsonObject(root)) return Array.isArray(root) ? 'ignored' : 'malformed';
  const { method, params } = root;
  if (typeof method !== 'string') return root.result !== undefined || root.error !== undefined ? 'control' : 'ignored';
  if (method !== 'subscription') return method === 'heartbeat' ? 'control' : 'ignored';
  if (!isJsonObject(params) || typeof params.channel !== 'string') return 'malformed';
  const topic = topicOf(new TreeFields(PARAMS_KEYS, params), P.channel);
  if (topic === 'control') return 'control';
  if (topic === 'other') return 'ignored';
  return exactData(topic, params.channel, params.data, receivedTs, symbols, batch);
}

function exactData(
  topic: Topic, channel: string, data: Json | undefined, receivedTs: number, symbols: SymbolTable, batch: Batch,
): FrameClass {
  if (topic === 'trades') return exactTrades(data, receivedTs, symbols, batch);
  if (topic === 'candle') {
    const series = candleChannel(channel);
    if (series === null) return data === undefined ? 'malformed' : 'ignored';
    if (!isJsonObject(data)) return 'malformed';
    const fields = new TreeFields(CANDLE_KEYS, data);
    return mapCandle(fields, series.symbol, series.resolution, symbols, receivedTs, batch) ? 'data' : 'malformed';
  }
  if (!isJsonObject(data)) return 'malformed';
  const part = (keys: readonly string[], value: Json | undefined): TreeFields | null =>
    isJsonObject(value) ? new TreeFields(keys, value) : null;
  if (Array.isArray(data.stats) || Array.isArray(data.greeks)) return 'malformed';
  const stats = part(STATS_KEYS, data.stats);
  const greeks = part(GREEKS_KEYS, data.greeks);
  return mapTicker(new TreeFields(TICKER_KEYS, data), stats, greeks, symbols, receivedTs, batch) ? 'data' : 'malformed';
}

function exactTrades(data: Json | undefined, receivedTs: number, symbols: SymbolTable, batch: Batch): FrameClass {
  const received = receivedPart(receivedTs);
  // One trade where an array is expected: so the AsyncAPI schema says, although every capture is an array.
  const trades: Json[] = Array.isArray(data) ? data : data === undefined ? [null] : [data];
  for (const trade of trades) {
    if (!isJsonObject(trade as Json)) return 'malformed';
    if (!mapTrade(new TreeFields(TRADE_KEYS, trade as JsonObject), symbols, received, batch)) return 'malformed';
  }
  return 'data';
}
