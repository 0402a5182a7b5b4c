// Methods about what is listed: expiries, combos; and those about funding and deliveries, whose figures funding.ts makes.
import type { Market } from '../market.ts';
import { INDEX, dateName } from './catalogue.ts';
import { tickerMembers } from './frames.ts';
import { deliveryPrices, fundingChart, fundingHistory, fundingValue } from './funding.ts';
import type { Method } from './methods.ts';
import { invalidParam, RpcError, type Params } from './rpc.ts';
import type { DeribitVenue } from './venue.ts';

const KINDS = ['future', 'option'] as const;

/** Base coin of an index such as `btc_usd`; throws when there is no such index. */
export function baseOfIndex(params: Params): string {
  const [base = '', quote = ''] = params.text('index_name').split('_');
  if (!Object.hasOwn(INDEX, base.toUpperCase()) || !['usd', 'usdc', 'usdt'].includes(quote)) throw invalidParam('index_name', 'unsupported index');
  return base.toUpperCase();
}

export function listingMethods(venue: DeribitVenue): [string, Method][] {
  const now = (): number => venue.world.nowMs();
  const combos = (params: Params): Market[] => venue.select(params.text('currency'), 'combo').map(({ market }) => market);
  return [
    ['public/get_expirations', { pool: 'instruments', run: (params) => JSON.stringify(expirations(venue, params)) }],
    ['public/get_combos', { run: (params) => JSON.stringify(combos(params).map(comboObject)) }],
    [
      'public/get_combo_ids',
      {
        run: (params) => {
          // All of this world's combos are active.
          const state = params.oneOf('state', ['rfq', 'active', 'inactive'], 'active');
          return JSON.stringify(state === 'active' ? combos(params).map(({ spec }) => spec.symbol) : []);
        },
      },
    ],
    [
      'public/get_combo_details',
      {
        run: (params) => {
          const market = venue.markets.get(params.text('combo_id'));
          if (market?.spec.kind !== 'combo') throw new RpcError(13020, 'not_found');
          return JSON.stringify(comboObject(market));
        },
      },
    ],
    ['public/get_delivery_prices', { run: (params) => deliveryPrices(baseOfIndex(params), params, now()) }],
    ['public/get_funding_rate_value', { run: (params) => fundingValue(venue.market(params).market, params, now()) }],
    ['public/get_funding_rate_history', { run: (params) => fundingHistory(venue.market(params).market, params, now()) }],
    [
      'public/get_funding_chart_data',
      {
        run: (params) => {
          const { market } = venue.market(params);
          return fundingChart(market, params, now(), new Map(tickerMembers(market, now())).get('current_funding') ?? '0.0');
        },
      },
    ],
  ];
}

type Expirations = Partial<Record<(typeof KINDS)[number], string[]>>;

/** By kind for currency `any`; by currency and kind for `grouped` or a currency. */
function expirations(venue: DeribitVenue, params: Params): Expirations | Record<string, Expirations> {
  const currency = params.text('currency');
  const kind = params.oneOf('kind', [...KINDS, 'any'], 'any');
  const pair = params.optionalText('currency_pair');
  const of = (settle: string): Expirations => Object.fromEntries(
    (kind === 'any' ? KINDS : [kind]).map((one) => [one, expiriesOf(
      venue.select(settle, one).map(({ market }) => market).filter(({ spec }) => pair === null || spec.wire['price_index'] === pair),
    )]),
  );
  if (currency === 'any') return of('any');
  const settles = [...new Set([...venue.markets.values()].flatMap(({ spec }) => spec.settle ?? []))];
  const asked = currency === 'grouped' ? settles : settles.filter((settle) => settle === currency.toUpperCase());
  if (asked.length === 0) throw invalidParam('currency', 'invalid value');
  return Object.fromEntries(asked.map((settle) => [settle.toLowerCase(), of(settle)]));
}

/** Names of dates, the nearest first; `PERPETUAL` comes last. */
function expiriesOf(markets: readonly Market[]): string[] {
  const times = new Set(markets.map(({ spec }) => spec.expiry ?? Infinity));
  return [...times].sort((a, b) => a - b).map((ms) => (ms === Infinity ? 'PERPETUAL' : dateName(ms)));
}

function comboObject({ spec }: Market): Record<string, unknown> {
  const { instrument_id, creation_timestamp } = spec.wire;
  return {
    id: spec.symbol, instrument_id, state: 'active', state_timestamp: creation_timestamp, creation_timestamp,
    legs: (spec.legs ?? []).map(({ symbol, ratio }) => ({ instrument_name: symbol, amount: ratio })),
  };
}
