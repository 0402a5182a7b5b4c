// Deribit frames → contract messages: {jsonrpc, method: "subscription", params: {channel, data}}.
import { isJsonObject, type Json } from '../../core/json.ts';
import { AsciiText, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, endOfValue, skipSpace } from '../../core/scan.ts';
import { Batch } from '../batch.ts';
import type { FrameClass, MessageSink, Normaliser } from '../exchange.ts';
import { Fields } from '../fields.ts';
import { ABSENT, NESTED, STRING, Word, slotsOf } from '../kinds.ts';
import { flat } from '../payload.ts';
import { SymbolTable } from '../symbols.ts';
import { normaliserOf, type Walk } from '../walk.ts';
import {
  CANDLE_KEYS, GREEKS_KEYS, STATS_KEYS, TICKER_KEYS, TRADE_KEYS,
  mapCandle, mapTicker, mapTrade, receivedPart, seriesOf, topicOf, type Series, type Topic,
} from './mapping.ts';

const ENVELOPE_KEYS = ['jsonrpc', 'method', 'params', 'result', 'error'] as const;
const PARAMS_KEYS = ['channel', 'data'] as const;
const E = slotsOf(ENVELOPE_KEYS);
const P = slotsOf(PARAMS_KEYS);
const SUBSCRIPTION = new Word('subscription');
const HEARTBEAT = new Word('heartbeat');
const STATS = TICKER_KEYS.indexOf('stats');
const UNUSUAL = -1;
const MAX_SERIES = 10_000;

/** See Normaliser; `exactOnly` is for tests. */
export function createNormaliser(marketId: string, exactOnly = false): Normaliser {
  return normaliserOf(new DeribitWalk(marketId), exactOnly);
}

class DeribitWalk implements Walk {
  readonly #symbols: SymbolTable;
  readonly #batch = new Batch();
  readonly #text = new AsciiText();
  readonly #envelope = new Fields(this.#text, ENVELOPE_KEYS, ['params']);
  readonly #params = new Fields(this.#text, PARAMS_KEYS, ['data']);
  readonly #trade = new Fields(this.#text, TRADE_KEYS);
  readonly #ticker = new Fields(this.#text, TICKER_KEYS, ['stats', 'greeks']);
  readonly #stats = new Fields(this.#text, STATS_KEYS);
  readonly #greeks = new Fields(this.#text, GREEKS_KEYS);
  readonly #candle = new Fields(this.#text, CANDLE_KEYS);
  /** By channel name: what its candles are of. */
  readonly #series = new Map<string, Series | null>();
  #topic: Topic = 'other';
  /** Of the frame's data: what is read but not mapped yet. */
  #hasParams = false;
  #hasStats = false;
  #hasGreeks = false;
  #oneTrade = false;
  #received = '';

  constructor(marketId: string) {
    this.#symbols = new SymbolTable(marketId);
  }

  quick(frame: string, receivedTs: number, sink: MessageSink): FrameClass | null {
    if (!this.#text.load(frame)) return null;
    const bytes = this.#text.bytes;
    const envelope = this.#envelope;
    this.#topic = 'other';
    this.#hasParams = false;
    this.#batch.drop();
    this.#received = receivedPart(receivedTs);
    let p = envelope.scan(skipSpace(bytes, 0));
    while (p >= 0 && envelope.halted >= 0) {
      if (bytes[p] !== OPEN_BRACE) return null;
      this.#hasParams = true;
      p = this.#scanParams(bytes, p);
      if (p >= 0) p = envelope.next(p);
    }
    if (p < 0 || skipSpace(bytes, p) !== frame.length) return null;
    if (!envelope.is(E.method, SUBSCRIPTION)) return otherClass(envelope);
    if (!this.#hasParams || this.#params.kind(P.channel) !== STRING) return null;
    return this.#map(receivedTs, sink);
  }

  /** Maps what has been scanned. */
  #map(receivedTs: number, sink: MessageSink): FrameClass | null {
    let mapped = true;
    switch (this.#topic) {
      case 'trades':
        if (this.#oneTrade) mapped = mapTrade(this.#trade, this.#symbols, this.#received, sink);
        else this.#batch.flush(sink);
        break;
      case 'ticker':
        mapped = mapTicker(this.#ticker, this.#hasStats ? this.#stats : null, this.#hasGreeks ? this.#greeks : null,
          this.#symbols, receivedTs, sink);
        break;
      case 'candle': {
        const series = this.#seriesOf(this.#params.text(P.channel));
        if (series === null) return 'ignored';
        mapped = mapCandle(this.#candle, series, receivedTs, sink);
        break;
      }
      case 'control':
        return 'control';
      case 'other':
        return 'ignored';
    }
    return mapped ? 'data' : null;
  }

  #seriesOf(channel: string): Series | null {
    let series = this.#series.get(channel);
    if (series === undefined) {
      if (this.#series.size >= MAX_SERIES) this.#series.clear();
      series = seriesOf(channel, this.#symbols);
      this.#series.set(flat(channel), series);
    }
    return series;
  }

  /** Reads `params`; the position behind it. */
  #scanParams(bytes: Uint8Array, at: number): number {
    const params = this.#params;
    let dataAt = 0;
    let p = params.scan(at);
    while (p >= 0 && params.halted >= 0) {
      if (params.kind(P.channel) === STRING) {
        this.#topic = topicOf(params, P.channel);
        p = this.#scanData(bytes, p);
      } else {
        // data before its channel: read again once the channel is known
        dataAt = p;
        p = endOfValue(bytes, p);
      }
      if (p >= 0) p = params.next(p);
    }
    if (p < 0 || params.kind(P.channel) !== STRING) return p;
    this.#topic = topicOf(params, P.channel);
    if (dataAt > 0) return this.#scanData(bytes, dataAt) < 0 ? UNUSUAL : p;
    return params.kind(P.data) === NESTED || this.#topic === 'other' || this.#topic === 'control' ? p : UNUSUAL;
  }

  #scanData(bytes: Uint8Array, at: number): number {
    switch (this.#topic) {
      case 'trades':
        return this.#scanTrades(bytes, at);
      case 'ticker':
        return this.#scanTicker(at);
      case 'candle':
        return this.#candle.scan(at);
      default:
        return endOfValue(bytes, at);
    }
  }

  #scanTrades(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== OPEN_BRACKET) return UNUSUAL;
    this.#oneTrade = true;
    let p = skipSpace(bytes, at + 1);
    for (;;) {
      p = this.#trade.scan(p);
      if (p < 0) return UNUSUAL;
      p = skipSpace(bytes, p);
      const c = bytes[p];
      if (c === CLOSE_BRACKET && this.#oneTrade) return p + 1;
      this.#oneTrade = false;
      if (!mapTrade(this.#trade, this.#symbols, this.#received, this.#batch)) return UNUSUAL;
      if (c === CLOSE_BRACKET) return p + 1;
      if (c !== COMMA) return UNUSUAL;
      p = skipSpace(bytes, p + 1);
    }
  }

  #scanTicker(at: number): number {
    const ticker = this.#ticker;
    this.#hasStats = false;
    this.#hasGreeks = false;
    let p = ticker.scan(at);
    while (p >= 0 && ticker.halted >= 0) {
      if (ticker.halted === STATS) {
        this.#hasStats = true;
        p = this.#stats.scan(p);
      } else {
        this.#hasGreeks = true;
        p = this.#greeks.scan(p);
      }
      if (p >= 0) p = ticker.next(p);
    }
    return p;
  }

  exact(root: Json, receivedTs: number, sink: MessageSink): FrameClass {
    if (!isJsonObject(root)) return Array.isArray(root) ? 'ignored' : 'malformed';
    const envelope = this.#envelope.take(root);
    if (!envelope.is(E.method, SUBSCRIPTION)) return otherClass(envelope);
    const params = root.params;
    if (!isJsonObject(params) || typeof params.channel !== 'string') return 'malformed';
    const data = params.data;
    switch (topicOf(this.#params.take(params), P.channel)) {
      case 'trades':
        return this.#exactTrades(data, receivedTs, sink);
      case 'ticker':
        return this.#exactTicker(data, receivedTs, sink) ? 'data' : 'malformed';
      case 'candle': {
        const series = this.#seriesOf(params.channel);
        if (!isJsonObject(data)) return 'malformed';
        if (series === null) return 'ignored';
        return mapCandle(this.#candle.take(data), series, receivedTs, sink) ? 'data' : 'malformed';
      }
      case 'control':
        return 'control';
      case 'other':
        return 'ignored';
    }
  }

  #exactTicker(data: Json | undefined, receivedTs: number, sink: MessageSink): boolean {
    if (!isJsonObject(data) || Array.isArray(data.stats) || Array.isArray(data.greeks)) return false;
    const stats = isJsonObject(data.stats) ? this.#stats.take(data.stats) : null;
    const greeks = isJsonObject(data.greeks) ? this.#greeks.take(data.greeks) : null;
    return mapTicker(this.#ticker.take(data), stats, greeks, this.#symbols, receivedTs, sink);
  }

  #exactTrades(data: Json | undefined, receivedTs: number, sink: MessageSink): FrameClass {
    const received = receivedPart(receivedTs);
    const batch = this.#batch;
    batch.drop();
    // One trade where an array is expected: so the AsyncAPI schema says, although every capture is an array.
    const trades: (Json | undefined)[] = Array.isArray(data) ? data : [data];
    for (const trade of trades) {
      if (!isJsonObject(trade)) return 'malformed';
      if (!mapTrade(this.#trade.take(trade), this.#symbols, received, batch)) return 'malformed';
    }
    batch.flush(sink);
    return 'data';
  }
}

/** A message that is no notification of a channel. */
function otherClass(envelope: Fields): FrameClass {
  if (envelope.kind(E.method) === STRING) return envelope.is(E.method, HEARTBEAT) ? 'control' : 'ignored';
  return envelope.kind(E.result) !== ABSENT || envelope.kind(E.error) !== ABSENT ? 'control' : 'ignored';
}
