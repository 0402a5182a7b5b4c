// Tickers in the spelling in which our own receiver writes them: the contract's key order, no escapes, no spaces. One regular
// expression checks every field by the contract's pattern and takes it out, at a third of the cost of JSON.parse and the
// schema; most tickers fall between two samples and are only checked. Anything spelled otherwise is null here and takes the
// reference path (decode.ts): this file may only ever say what that path would say (canonical.test.ts).
import { tickerSchema, type Ticker } from '../../contracts/index.ts';

const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const AMOUNT = '(?:0|[1-9]\\d{0,29})(?:\\.\\d{1,30})?';
const DECIMAL = `-?${AMOUNT}`;
const HEAD = '^\\{"v":1,"type":"ticker","market_id":"([a-z][a-z0-9_]{1,31})","symbol":"([^\\s\\x00-\\x1f\\x7f"\\\\]{1,96})"'
  + ',"exchange_ts":(\\d{16}),"received_ts":(\\d{16})';

const KEYS = Object.keys(tickerSchema.shape).slice(6) as (keyof Ticker)[];
/** Two groups per key: an empty one that tells "was there", and the value. */
const GROUPS = KEYS.map((key) => {
  const pair = `(),"${key}":(?:null|"(${key.endsWith('_amount') ? AMOUNT : DECIMAL})")`;
  return tickerSchema.shape[key].safeParse(undefined).success ? `(?:${pair})?` : pair;
});
const TICKER = new RegExp(`${HEAD}${GROUPS.join('')}\\}$`);

/** A ticker in canonical spelling, else null. */
export function canonicalTicker(payload: string): Ticker | null {
  const m = TICKER.exec(payload);
  if (m === null) return null;
  const exchangeTs = Number(m[3]);
  const receivedTs = Number(m[4]);
  if (exchangeTs < MIN_MICROS || exchangeTs > MAX_MICROS || receivedTs < MIN_MICROS || receivedTs > MAX_MICROS) return null;
  const ticker: Record<string, unknown> = {
    v: 1, type: 'ticker', market_id: m[1], symbol: m[2], exchange_ts: exchangeTs, received_ts: receivedTs,
  };
  for (const [n, key] of KEYS.entries()) if (m[5 + 2 * n] !== undefined) ticker[key] = m[6 + 2 * n] ?? null;
  return ticker as unknown as Ticker;
}
