// Channel names and the state of a channel that somebody hears.
import { asciiFrame, frame, type Connection } from '../connection.ts';
import type { Market } from '../market.ts';
import { notification } from './frames.ts';

export type ChannelType = 'trades' | 'ticker' | 'incremental_ticker' | 'quote' | 'chart' | 'book' | 'grouped_book' | 'perpetual' | 'index' | 'user' | 'silent';

export interface ChannelName {
  type: ChannelType;
  instrument: string | null;
  /** Kind and currency of wide channels; `any` matches all. */
  kind: string;
  currency: string;
  /** Push interval in ms; 0 is raw (every tick). */
  everyMs: number;
  raw: boolean;
  /** Chart resolution, the index name, or what a user channel tells. */
  detail: string;
  depth: number;
}

const INTERVALS: Readonly<Record<string, number>> = { raw: 0, '100ms': 100, agg2: 1000 };
export const RESOLUTIONS: Readonly<Record<string, string>> = {
  '1': '1m',
  '3': '3m',
  '5': '5m',
  '10': '10m',
  '15': '15m',
  '30': '30m',
  '60': '1h',
  '120': '2h',
  '180': '3h',
  '360': '6h',
  '720': '12h',
  '1D': '1d',
};
const KINDS = new Set(['any', 'future', 'option', 'spot', 'future_combo', 'option_combo', 'combo']);
const GROUPS = new Set(['none', '1', '2', '5', '10', '25', '100', '250']);
/** Channels that exist and never speak by themselves; POST /control/announce speaks on them. */
const SILENT = new RegExp(
  `^(${[
    'platform_state',
    'platform_state\\.public_methods_state',
    'instrument\\.state\\.\\w+\\.\\w+',
    'deribit_volatility_index\\.\\w+',
    'markprice\\.options\\.\\w+',
    'estimated_expiration_price\\.\\w+',
    'block_trade_confirmations',
    'block_rfq\\.trades\\.\\w+',
    'user\\.(?:lock|access_log|combo_trades\\.\\S+|mmp_trigger\\.\\w+)',
  ].join('|')})$`,
);

/** Reads a channel name; null when Deribit would drop it from the acknowledgement. */
export function parseChannel(name: string, knows: (instrument: string) => boolean): ChannelName | null {
  if (name.length > 128) return null;
  if (SILENT.test(name)) return make('silent', {});
  const parts = name.split('.');
  const [head = '', second = '', third = '', fourth = '', fifth = ''] = parts;
  const interval = (text: string): { everyMs: number; raw: boolean } | null => {
    const everyMs = Object.hasOwn(INTERVALS, text) ? INTERVALS[text] : undefined;
    return everyMs === undefined ? null : { everyMs, raw: text === 'raw' };
  };
  if (head === 'deribit_price_index' && parts.length === 2 && /^[a-z]+_[a-z]+$/.test(second)) return make('index', { detail: second, everyMs: 1000 });
  if (head === 'trades' && parts.length === 4 && KINDS.has(second)) {
    const pace = interval(fourth);
    return pace === null ? null : make('trades', { kind: second, currency: third, ...pace });
  }
  if (head === 'chart' && second === 'trades' && parts.length === 4) {
    return knows(third) && Object.hasOwn(RESOLUTIONS, fourth)
      ? make('chart', { instrument: third, detail: RESOLUTIONS[fourth] ?? '', everyMs: 500 })
      : null;
  }
  if (head === 'user') return parseUser(parts, knows, interval);
  if (!knows(second)) return null;
  if (parts.length === 2 && (head === 'quote' || head === 'incremental_ticker'))
    return make(head, { instrument: second, everyMs: head === 'quote' ? 50 : 100 });
  if (head === 'book' && parts.length === 5) {
    const pace = interval(fifth);
    const good = pace !== null && !pace.raw && GROUPS.has(third) && ['1', '10', '20'].includes(fourth);
    return good ? make('grouped_book', { instrument: second, depth: Number(fourth), ...pace }) : null;
  }
  if (parts.length !== 3 || !['trades', 'ticker', 'book', 'perpetual'].includes(head)) return null;
  const pace = interval(third);
  return pace === null ? null : make(head as ChannelType, { instrument: second, ...pace });
}

/** `user.{orders|trades|changes}.{instrument}.{interval}`, the same by kind and currency, and `user.portfolio.{currency}`. */
function parseUser(
  parts: readonly string[], knows: (instrument: string) => boolean, interval: (text: string) => { everyMs: number; raw: boolean } | null,
): ChannelName | null {
  const [, detail = '', third = '', fourth = ''] = parts;
  if (detail === 'portfolio') return parts.length === 3 && /^[a-z]+$/i.test(third) ? make('user', { detail, kind: 'any', currency: third, raw: true }) : null;
  const pace = interval(parts.at(-1) ?? '');
  if (pace === null || !['orders', 'trades', 'changes'].includes(detail)) return null;
  if (parts.length === 4) return knows(third) ? make('user', { detail, instrument: third, ...pace }) : null;
  return parts.length === 5 && KINDS.has(third) ? make('user', { detail, kind: third, currency: fourth, ...pace }) : null;
}

function make(type: ChannelType, rest: Partial<ChannelName>): ChannelName {
  return { type, instrument: null, kind: '', currency: '', everyMs: 0, raw: false, detail: '', depth: 0, ...rest };
}

export class Channel {
  readonly name: string;
  readonly parsed: ChannelName;
  readonly market: Market | null;
  readonly readers = new Set<Connection>();
  /** Trades that wait for the end of the interval: objects, separated by commas. */
  pending = '';
  /** Objects that wait for the end of the interval and go out one by one. */
  #held: string[] = [];
  lastVersion = -1;
  lastSentMs = 0;
  /** Books: what readers hold. */
  bids: ReadonlyMap<number, number> = new Map();
  asks: ReadonlyMap<number, number> = new Map();
  changeId = 0;
  /** Charts: open time of the candle last told. */
  openMs = 0;
  /** Incremental tickers: the members last told. */
  told = new Map<string, string>();

  constructor(name: string, parsed: ChannelName, market: Market | null) {
    this.name = name;
    this.parsed = parsed;
    this.market = market;
  }

  add(trade: string): void {
    this.pending = this.pending === '' ? trade : `${this.pending},${trade}`;
  }

  /** An object that goes out by itself, at once or at the end of the interval. */
  hold(data: string, now: boolean): void {
    if (now) this.send(data);
    else this.#held.push(data);
  }

  send(data: string): void {
    const bytes = asciiFrame(notification(this.name, data));
    for (const reader of this.readers) reader.push(bytes);
  }

  /** As `send`, for data that may not be ASCII. */
  sendAny(data: string): void {
    const bytes = frame(notification(this.name, data));
    for (const reader of this.readers) reader.push(bytes);
  }

  get waits(): boolean {
    return this.pending !== '' || this.#held.length > 0;
  }

  flush(): void {
    for (const data of this.#held.splice(0)) this.send(data);
    if (this.pending === '') return;
    const batch = this.pending;
    this.pending = '';
    this.send(`[${batch}]`);
  }
}
