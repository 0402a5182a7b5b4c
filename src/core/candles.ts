// Candles of a live feed: identical repeats are dropped, provisional states conflated, and, for venues that send no
// closed flag, a candle is closed when a newer one of its series arrives. Pure: payload texts in and out, time handed
// in.

export interface CandleBookOptions {
  /** The venue never says that a candle is closed. */
  closes: boolean;
  /** At most one provisional state per series in this many ms. */
  intervalMs: number;
}

/** Gets what shall be published, in order. */
export type CandleOut = (payload: string, closed: boolean) => void;

interface Series {
  symbol: string;
  openTs: number;
  closed: boolean;
  payload: string;
  /** The payload without its times: what makes two states the same. */
  body: string;
  sentMs: number;
  dirty: boolean;
  /** Body of the candle closed last, so that a repeat of it is known. */
  closedBody: string;
}

const OPEN_FLAG = '"closed":false';
const CLOSED_FLAG = '"closed":true';

export class CandleBook {
  readonly #options: CandleBookOptions;
  readonly #series = new Map<string, Series>();
  readonly #dirty = new Set<Series>();

  constructor(options: CandleBookOptions) {
    this.#options = options;
  }

  /** Takes one state of a candle. `hold`: nothing provisional goes out now, the latest waits for `flush`. */
  update(
    symbol: string,
    resolution: string,
    openTs: number,
    closed: boolean,
    payload: string,
    nowMs: number,
    hold: boolean,
    out: CandleOut,
  ): void {
    const key = `${symbol} ${resolution}`;
    const body = bodyOf(payload);
    const series = this.#series.get(key);
    if (series === undefined || openTs > series.openTs) {
      if (series !== undefined) this.#leave(series, out);
      const next = {
        symbol,
        openTs,
        closed,
        payload,
        body,
        sentMs: -Infinity,
        dirty: false,
        closedBody: series?.closedBody ?? '',
      };
      this.#series.set(key, next);
      this.#send(next, nowMs, hold, out);
    } else if (openTs < series.openTs) {
      this.#late(series, closed, payload, out);
    } else if (body !== series.body && !(series.closed && !closed)) {
      Object.assign(series, { closed, payload, body });
      this.#send(series, nowMs, hold, out);
    }
  }

  /** Sends the provisional states whose interval is over. */
  flush(nowMs: number, out: CandleOut): void {
    for (const series of this.#dirty) this.#send(series, nowMs, false, out);
  }

  /** The symbol is no longer subscribed. */
  forget(symbol: string): void {
    for (const [key, series] of this.#series) {
      if (series.symbol !== symbol) continue;
      this.#series.delete(key);
      this.#dirty.delete(series);
    }
  }

  #send(series: Series, nowMs: number, hold: boolean, out: CandleOut): void {
    if (!series.closed && (hold || nowMs - series.sentMs < this.#options.intervalMs)) {
      series.dirty = true;
      this.#dirty.add(series);
      return;
    }
    series.dirty = false;
    this.#dirty.delete(series);
    series.sentMs = nowMs;
    if (series.closed) series.closedBody = series.body;
    out(series.payload, series.closed);
  }

  /** A newer candle has begun: the last state of this one goes out, closed where that is ours to say. */
  #leave(series: Series, out: CandleOut): void {
    this.#dirty.delete(series);
    if (series.closed) return;
    if (this.#options.closes) {
      const payload = asClosed(series.payload);
      series.closedBody = bodyOf(payload);
      out(payload, true);
    } else if (series.dirty) {
      out(series.payload, false);
    }
  }

  /** A state of an earlier candle than the current one: a correction, or the same candle over another connection. */
  #late(series: Series, closed: boolean, payload: string, out: CandleOut): void {
    const final = this.#options.closes && !closed ? asClosed(payload) : payload;
    const isClosed = closed || this.#options.closes;
    const body = bodyOf(final);
    if (!isClosed || body === series.closedBody) return;
    series.closedBody = body;
    out(final, true);
  }
}

function bodyOf(payload: string): string {
  return payload.slice(payload.indexOf('"resolution"'));
}

/** The contract's texts hold the flag once, after all values, and no value can contain a quote. */
function asClosed(payload: string): string {
  const at = payload.lastIndexOf(OPEN_FLAG);
  return at < 0 ? payload : payload.slice(0, at) + CLOSED_FLAG + payload.slice(at + OPEN_FLAG.length);
}
