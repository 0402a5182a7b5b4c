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

const instrumentOf = (stream: string): string => stream.replace(/^chart\.trades\./, 'chart.').split('.')[1] ?? '';

/**
 * Instruments of the recorded channels: as the recorded get_instruments lists them; of a capture, which holds no list, those with
 * trades, as the generated ones are or as their names and frames show them.
 */
export function specsOf(recordings: readonly Recording[], frames: readonly StreamFrame[], known: readonly Spec[]): Spec[] {
  const wanted = new Set(frames.map((frame) => instrumentOf(frame.stream)));
  const listed = recordings
    .flatMap((recording) => recording.answers)
    .filter(({ url }) => url.includes('/public/get_instruments'))
    .flatMap(({ data }) => (JSON.parse(data) as { result: Listed[] }).result);
  const specs = listed.filter((entry) => wanted.has(entry.instrument_name)).map(specOf);
  if (!recordings.some(({ marketId }) => marketId !== null)) return specs;
  const names = new Set(specs.map(({ symbol }) => symbol));
  return [...specs, ...[...numbersIn(frames)].filter(([symbol]) => !names.has(symbol)).map(([symbol, shown]) => {
    const spec = known.find((one) => one.symbol === symbol) ?? specOf(namedEntry(symbol, shown));
    return { ...spec, priceDecimals: Math.max(spec.priceDecimals, shown.price), amountDecimals: shown.amount, lot: 1, weight: 0, replayed: true,
      ...(spec.priceDecimals >= shown.price ? {} : { tick: 1, startPrice: 1 }) };
  })];
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

interface Decimals {
  price: number;
  amount: number;
}

/** Decimals that the trades of each instrument show. */
function numbersIn(frames: readonly StreamFrame[]): Map<string, Decimals> {
  const found = new Map<string, Decimals>();
  for (const { stream, data } of frames) {
    if (!stream.startsWith('trades.')) continue;
    const shown = found.get(instrumentOf(stream)) ?? { price: 0, amount: 0 };
    found.set(instrumentOf(stream), shown);
    for (const [, key, text = ''] of data.matchAll(/"(price|amount)"\s*:\s*(-?[0-9.eE+-]+)/g)) {
      const decimals = decimalsOf(plainDecimal(text) ?? '');
      if (key === 'price') shown.price = Math.max(shown.price, decimals);
      else shown.amount = Math.max(shown.amount, decimals);
    }
  }
  return found;
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const NEVER = 32_503_708_800_000;

/** What an instrument's name says of it (docs.deribit.com, instrument naming): `BTC_USDC-25DEC26-2d1-C`. */
function namedEntry(symbol: string, { price, amount }: Decimals): Listed & Record<string, unknown> {
  const [pair = '', when = '', strike = '', type = ''] = symbol.split('-');
  const [base = '', linear] = pair.split('_');
  const [, day = '', month = '', year = ''] = /^(\d{1,2})([A-Z]{3})(\d\d)$/.exec(when) ?? [];
  const isOption = type === 'C' || type === 'P';
  const kind = when === '' ? 'spot' : isOption ? 'option' : day !== '' || when === 'PERPETUAL' ? 'future' : 'future_combo';
  return {
    instrument_name: symbol, kind, base_currency: base, quote_currency: linear ?? (isOption ? base : 'USD'), settlement_currency: linear ?? base,
    settlement_period: when === 'PERPETUAL' ? 'perpetual' : 'month', tick_size: 10 ** -price, min_trade_amount: 10 ** -amount, contract_size: 10 ** -amount,
    expiration_timestamp: day === '' ? NEVER : Date.UTC(2000 + Number(year), MONTHS.indexOf(month), Number(day), 8), creation_timestamp: 0,
    is_active: true, state: 'open', instrument_type: linear === undefined ? 'reversed' : 'linear',
    ...(isOption ? { strike: Number(strike.replace('d', '.')), option_type: type === 'C' ? ('call' as const) : ('put' as const) } : {}),
  };
}
