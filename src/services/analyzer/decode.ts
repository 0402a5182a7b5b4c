// The reference path: JSON.parse and the generated schema, for messages in another spelling and for what is wrong with one.
import { parseStreamMessage, show, type StreamMessage } from '../../contracts/index.ts';
import type { MessageFields } from '../../core/analysis/message_fields.ts';
import { parsePlain } from '../../core/json.ts';

/** A message; or why it is none, and whose it would have been (null where it does not say). */
export type Decoded =
  | { ok: true; message: StreamMessage }
  | { ok: false; reason: string; marketId: string | null; symbol: string | null };

const MARKET = /^[a-z][a-z0-9_]{1,31}$/;
const SYMBOL = /^[^\s\x00-\x1f\x7f"\\]{1,96}$/;
/** A payload that is no JSON still tells whose it was meant to be. */
const HINTS = { market: /"market_id":"([a-z][a-z0-9_]{1,31})"/, symbol: /"symbol":"([^\s\x00-\x1f\x7f"\\]{1,96})"/ };

export const isMarket = (text: unknown): text is string => typeof text === 'string' && MARKET.test(text);
export const isSymbol = (text: unknown): text is string => typeof text === 'string' && SYMBOL.test(text) && text.isWellFormed();

/** Never throws, whatever the text. */
export function decode(payload: string | null): Decoded {
  if (payload === null) return { ok: false, reason: 'payload: the entry has no such field', marketId: null, symbol: null };
  const value = parsePlain(payload);
  if (value === undefined) {
    const [marketId, symbol] = [HINTS.market.exec(payload)?.[1] ?? null, HINTS.symbol.exec(payload)?.[1] ?? null];
    return { ok: false, reason: `not JSON: ${show(payload)}`, marketId, symbol };
  }
  const parsed = parseStreamMessage(value);
  if (parsed.ok) return { ok: true, message: parsed.value };
  const { market_id: marketId, symbol } = (value ?? {}) as { market_id?: unknown; symbol?: unknown };
  return {
    ok: false, reason: parsed.error,
    marketId: isMarket(marketId) ? marketId : null,
    symbol: isSymbol(symbol) ? symbol : null,
  };
}

/** Fills the fields from a trade or ticker; false for other messages. */
export function fill(fields: MessageFields, message: StreamMessage): boolean {
  if (message.type !== 'trade' && message.type !== 'ticker') return false;
  fields.clear();
  fields.kind = message.type;
  fields.exchangeTs = message.exchange_ts;
  fields.receivedTs = message.received_ts;
  if (message.type === 'trade') {
    fields.price = Number(message.price);
    fields.amount = Number(message.amount);
    fields.isBuy = message.side === 'buy';
    fields.isLiquidation = message.liquidation !== undefined;
    return true;
  }
  fields.bid = number(message.best_bid_price);
  fields.ask = number(message.best_ask_price);
  fields.openInterest = number(message.open_interest);
  fields.fundingRate = number(message.funding_rate);
  fields.markIv = number(message.mark_iv);
  return true;
}

const number = (text: string | null | undefined): number => (text === null || text === undefined ? Number.NaN : Number(text));
