// Reading recorded Deribit sessions: channels, and the instruments they are about.
import { plainDecimal } from '../../core/decimal.ts';
import { dataOf, type Recording, type StreamFrame } from '../recording.ts';
import { decimalsOf, parseScaled, type Kind, type Spec } from '../spec.ts';

/** True when the session was recorded from this venue. */
export const isDeribit = (url: string): boolean => /^wss?:\/\/[\w.]*deribit\.com\//.test(url);

/** The notifications of a session. */
export function framesOf(recording: Recording): StreamFrame[] {
  const frames: StreamFrame[] = [];
  for (const { atMs, text } of recording.frames) {
    const stream = /"channel":"([^"]+)"/.exec(text)?.[1];
    if (stream === undefined || !text.includes('"method":"subscription"')) continue;
    const data = dataOf(text, 2) ?? reserialised(text);
    if (data !== null) frames.push({ atMs, stream, data });
  }
  return frames;
}

/** Members in another order: numbers are then written anew. */
function reserialised(text: string): string | null {
  try {
    const message = JSON.parse(text) as { params?: { data?: unknown } };
    return message.params?.data === undefined ? null : JSON.stringify(message.params.data);
  } catch {
    return null;
  }
}

interface Listed {
  instrument_name: string;
  kind: string;
  base_currency: string;
  quote_currency: string;
  settlement_currency?: string;
  settlement_period?: string;
  tick_size: number;
  min_trade_amount: number;
  expiration_timestamp: number;
  strike?: number;
  option_type?: 'call' | 'put';
}

/** Instruments of the recorded channels, as the recorded get_instruments lists them. */
export function specsOf(recordings: readonly Recording[], frames: readonly StreamFrame[]): Spec[] {
  const wanted = new Set(frames.map((frame) => frame.stream.replace(/^chart\.trades\./, 'chart.').split('.')[1] ?? ''));
  const listed = recordings
    .flatMap((recording) => recording.answers)
    .filter(({ url }) => url.includes('/public/get_instruments'))
    .flatMap(({ data }) => (JSON.parse(data) as { result: Listed[] }).result);
  return listed.filter((entry) => wanted.has(entry.instrument_name)).map(specOf);
}

function specOf(entry: Listed): Spec {
  const plain = (value: number): string => plainDecimal(String(value)) ?? '1';
  const priceDecimals = Math.max(4, decimalsOf(plain(entry.tick_size)));
  const amountDecimals = decimalsOf(plain(entry.min_trade_amount));
  const kind: Kind =
    entry.settlement_period === 'perpetual' ? 'perpetual' : entry.kind.endsWith('_combo') ? 'combo' : (entry.kind as 'future' | 'option' | 'spot');
  const settle = kind === 'spot' ? null : (entry.settlement_currency ?? entry.base_currency);
  return {
    marketId: 'deribit', symbol: entry.instrument_name, kind, base: entry.base_currency, quote: entry.quote_currency, settle, priceDecimals, pricePad: '',
    tick: parseScaled(plain(entry.tick_size), priceDecimals), startPrice: parseScaled(plain(entry.tick_size), priceDecimals), amountDecimals, amountPad: '',
    lot: Math.max(1, parseScaled(plain(entry.min_trade_amount), amountDecimals)), typicalLots: 1, weight: 0, milliseconds: true, runs: 0, countRuns: false,
    replayed: true, wire: entry as unknown as Record<string, unknown>, expiry: entry.expiration_timestamp,
    ...(entry.strike === undefined ? {} : { strike: entry.strike }), ...(entry.option_type === undefined ? {} : { optionType: entry.option_type }),
  };
}
