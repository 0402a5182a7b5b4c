// public/get_instruments → Instrument. https://docs.deribit.com/api-reference/market-data/public-get_instruments
import { z } from 'zod';
import type { JsonObject } from '../../core/json.ts';
import type { Instrument, InstrumentKind } from '../exchange.ts';
import { instrumentListSchema } from '../instrument_list.ts';
import { decimalText, millis, unifiedSymbol } from '../rest_reader.ts';

/** "Expires" in the year 3000: never. */
const NEVER_MS = 32_503_708_800_000;
/** Words for tradable, before and after 2026-01-13; old captures have no state at all. */
const TRADABLE = new Set(['open', 'started']);

const wireSchema = z.object({
  instrument_name: z.string().min(1),
  kind: z.enum(['future', 'option', 'spot', 'future_combo', 'option_combo']),
  base_currency: z.string(),
  quote_currency: z.string(),
  counter_currency: z.string().optional(),
  settlement_currency: z.string().optional(),
  settlement_period: z.string().optional(),
  instrument_type: z.string().optional(),
  tick_size: decimalText,
  min_trade_amount: decimalText,
  contract_size: decimalText.optional(),
  expiration_timestamp: millis.optional(),
  // Only spares requests: whatever it says, the instrument is one.
  creation_timestamp: millis.optional().catch(undefined),
  strike: decimalText.optional(),
  option_type: z.enum(['call', 'put']).optional(),
  is_active: z.boolean().optional(),
  state: z.string().optional(),
});

export const instrumentsSchema = instrumentListSchema({ wire: wireSchema, nameField: 'instrument_name', toInstrument });

function toInstrument(wire: z.infer<typeof wireSchema>, raw: JsonObject): Instrument {
  const kind = kindOf(wire);
  const settle = kind === 'spot' ? null : wire.settlement_currency ?? wire.base_currency;
  // Inverse options quote their premium in the base coin; what the pair is about is the counter currency.
  const quote = wire.counter_currency ?? wire.quote_currency;
  const inverse = settle !== null && settle !== quote;
  const expiryMs = wire.expiration_timestamp === undefined || wire.expiration_timestamp === NEVER_MS ? null : wire.expiration_timestamp;
  const dated = kind === 'future' || kind === 'option';
  const strike = wire.strike ?? null;
  const optionType = wire.option_type ?? null;
  return {
    market_id: 'deribit',
    exchange: 'deribit',
    symbol: wire.instrument_name,
    unified_symbol: kind === 'combo' ? null : unifiedSymbol({
      base: wire.base_currency, quote, settle, expiryMs: dated ? expiryMs : null, strike: kind === 'option' ? strike : null, optionType,
    }),
    kind,
    base: wire.base_currency,
    quote,
    settle,
    inverse,
    contract_size: kind === 'spot' ? null : wire.contract_size ?? null,
    // "amount: USD for inverse perpetuals and futures, base coin for options and linear" (public/get_last_trades_by_instrument).
    amount_unit: inverse && isFuture(wire.kind) ? quote : wire.base_currency,
    tick_size: wire.tick_size,
    min_amount: wire.min_trade_amount,
    // An amount is a multiple of the contract size (10027 non_integer_contract_amount), of the smallest amount on options.
    amount_step: isFuture(wire.kind) ? wire.contract_size ?? wire.min_trade_amount : wire.min_trade_amount,
    strike,
    option_type: optionType,
    expiry_ts: expiryMs === null || kind === 'spot' || kind === 'perpetual' ? null : expiryMs * 1000,
    listed_ts: wire.creation_timestamp === undefined ? null : wire.creation_timestamp * 1000,
    status: statusOf(wire),
    raw,
  };
}

const isFuture = (kind: string): boolean => kind === 'future' || kind === 'future_combo';

function kindOf(wire: { kind: string; settlement_period?: string | undefined; expiration_timestamp?: number | undefined }): InstrumentKind {
  if (wire.kind.endsWith('_combo')) return 'combo';
  if (wire.kind === 'option' || wire.kind === 'spot') return wire.kind;
  return wire.settlement_period === 'perpetual' || wire.expiration_timestamp === NEVER_MS ? 'perpetual' : 'future';
}

function statusOf(wire: { state?: string | undefined; is_active?: boolean | undefined }): string {
  const state = wire.state?.toLowerCase() ?? 'open';
  if (!TRADABLE.has(state)) return state;
  return wire.is_active === false ? 'inactive' : 'open';
}
