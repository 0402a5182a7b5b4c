// exchangeInfo of spot and USD-M → Instrument.
// https://github.com/binance/binance-spot-api-docs (rest-api.md, filters.md), developers.binance.com USD-M exchange information.
import { z } from 'zod';
import type { JsonObject } from '../../core/json.ts';
import type { Instrument } from '../exchange.ts';
import { instrumentListSchema } from '../instrument_list.ts';
import { decimalText, millis, unifiedSymbol } from '../rest_reader.ts';

/** "Delivers" in the year 2100: a perpetual. */
const NEVER_MS = 4_133_404_800_000;

const filterSchema = z.object({
  filterType: z.string(), tickSize: decimalText.optional(), stepSize: decimalText.optional(), minQty: decimalText.optional(),
});

const wireSchema = z.object({
  symbol: z.string().min(1),
  status: z.string(),
  baseAsset: z.string(),
  quoteAsset: z.string(),
  marginAsset: z.string().optional(),
  contractType: z.string().optional(),
  deliveryDate: millis.optional(),
  // Only spares requests: whatever it says, the instrument is one.
  onboardDate: millis.optional().catch(undefined),
  filters: z.array(filterSchema),
});

export const exchangeInfoSchema = (marketId: string) => z.object({
  symbols: instrumentListSchema({ wire: wireSchema, nameField: 'symbol', toInstrument: (wire, raw) => toInstrument(marketId, wire, raw) }),
});

function toInstrument(marketId: string, wire: z.infer<typeof wireSchema>, raw: JsonObject): Instrument {
  const contract = wire.contractType !== undefined;
  const settle = contract ? wire.marginAsset ?? 'USDT' : null;
  const perpetual = contract && (wire.contractType?.endsWith('PERPETUAL') === true || wire.deliveryDate === NEVER_MS);
  const expiryMs = contract && !perpetual ? wire.deliveryDate ?? null : null;
  const price = wire.filters.find((filter) => filter.filterType === 'PRICE_FILTER');
  const lot = wire.filters.find((filter) => filter.filterType === 'LOT_SIZE');
  return {
    market_id: marketId,
    exchange: 'binance',
    symbol: wire.symbol,
    unified_symbol: unifiedSymbol({ base: wire.baseAsset, quote: wire.quoteAsset, settle, expiryMs }),
    kind: !contract ? 'spot' : perpetual ? 'perpetual' : 'future',
    base: wire.baseAsset,
    quote: wire.quoteAsset,
    settle,
    inverse: false,
    contract_size: contract ? '1' : null,
    amount_unit: wire.baseAsset,
    tick_size: positive(price?.tickSize),
    min_amount: positive(lot?.minQty),
    amount_step: positive(lot?.stepSize),
    strike: null,
    option_type: null,
    expiry_ts: expiryMs === null ? null : expiryMs * 1000,
    listed_ts: wire.onboardDate === undefined ? null : wire.onboardDate * 1000,
    status: wire.status === 'TRADING' ? 'open' : wire.status.toLowerCase(),
    raw,
  };
}

/** A filter's 0 means that the rule is off. */
function positive(decimal: string | undefined): string | null {
  return decimal === undefined || /^[0.]+$/.test(decimal) ? null : decimal;
}
