// The method table. Public methods are here; the private side adds its own to the same table.
import { INDEX } from './catalogue.ts';
import type { Pool } from './credits.ts';
import { amountFloat, objectOf, priceFloat, summaryObject, tickerMembers } from './frames.ts';
import { chartData, tradesOfCurrency, tradesOfInstrument } from './history.ts';
import { baseOfIndex, listingMethods } from './listings.ts';
import { floatOf } from './numbers.ts';
import { invalidParam, Params, RpcError } from './rpc.ts';
import { grantWire, type Grant } from './private/tokens.ts';
import { wire } from './private/wire.ts';
import type { Session } from './session.ts';
import type { DeribitVenue } from './venue.ts';

export interface Call {
  /** null over HTTP. */
  readonly session: Session | null;
  readonly ip: string;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** Who asks; null: nobody known. */
  readonly grant: Grant | null;
}

export interface Method {
  readonly pool?: Pool;
  /** Needs a WebSocket session. */
  readonly socket?: boolean;
  /** Needs an authenticated session. */
  readonly private?: boolean;
  /** Returns the JSON text of the result; null: never answers. Throws RpcError. */
  run(params: Params, call: Call): string | null;
}

const VERSION = '1.2.26';

/** All methods by name. */
export function methodTable(venue: DeribitVenue): Map<string, Method> {
  return new Map<string, Method>([
    ...sessionMethods(venue),
    ...subscriptionMethods(venue),
    ...marketMethods(venue),
    ...instrumentMethods(venue),
    ...historyMethods(venue),
    ...listingMethods(venue),
  ]);
}

function sessionMethods(venue: DeribitVenue): [string, Method][] {
  return [
    ['public/hello', { run: (params) => `{"version":"${(params.text('client_name'), params.text('client_version'), VERSION)}"}` }],
    [
      'public/test',
      {
        run: (params, { session }) => {
          session?.answered();
          if (params.optionalText('expected_result') === 'exception') throw new RpcError(11094, 'internal_server_error');
          return `{"version":"${VERSION}"}`;
        },
      },
    ],
    [
      'public/set_heartbeat',
      {
        socket: true,
        run: (params, { session }) => {
          const interval = params.int('interval');
          if (interval === null) throw invalidParam('interval', 'value required');
          if (interval < 10) throw invalidParam('interval', 'too small');
          session?.setHeartbeat(interval);
          return '"ok"';
        },
      },
    ],
    ['public/disable_heartbeat', { socket: true, run: (_params, { session }) => (session?.setHeartbeat(0), '"ok"') }],
    ['public/get_time', { run: () => String(venue.world.nowMs()) }],
    ['public/status', { run: () => `{"locked":"${venue.lockedNow}","locked_indices":${JSON.stringify(venue.lockedIndices)}}` }],
    [
      'public/auth',
      {
        run: (params, { session }) => {
          const grant = venue.desk.tokens.auth(venue.world.nowMs(), params, session?.connection.id ?? null);
          if (session !== null) session.token = grant.accessToken;
          return wire(grantWire(grant));
        },
      },
    ],
    [
      'private/logout',
      {
        socket: true,
        private: true,
        // No answer: the connection closes, and its orders stay.
        run: (params, { session, grant }) => {
          if (grant !== null && (!params.has('invalidate_token') || params.bool('invalidate_token'))) venue.desk.tokens.revoke(grant);
          if (session !== null) session.loggedOut = true;
          session?.connection.close(1000, '');
          return null;
        },
      },
    ],
  ];
}

function subscriptionMethods(venue: DeribitVenue): [string, Method][] {
  const subscribe: Method = {
    pool: 'subscribe',
    socket: true,
    run: (params, { session, grant, method }) =>
      session === null ? null : venue.subscribe(session, params.list('channels'), grant, method.startsWith('private/')),
  };
  const unsubscribe: Method = {
    pool: 'subscribe',
    socket: true,
    run: (params, { session }) => JSON.stringify(session === null ? [] : venue.unsubscribe(session, params.list('channels'))),
  };
  const unsubscribeAll: Method = {
    pool: 'subscribe',
    socket: true,
    run: (_params, { session }) => {
      if (session !== null) venue.unsubscribe(session, [...session.channels]);
      return '"ok"';
    },
  };
  return [
    ['public/subscribe', subscribe],
    ['private/subscribe', { ...subscribe, private: true }],
    ['public/unsubscribe', unsubscribe],
    ['private/unsubscribe', { ...unsubscribe, private: true }],
    ['public/unsubscribe_all', unsubscribeAll],
    ['private/unsubscribe_all', { ...unsubscribeAll, private: true }],
  ];
}

function marketMethods(venue: DeribitVenue): [string, Method][] {
  const ticker = (params: Params): string => objectOf(tickerMembers(venue.market(params).market, venue.world.nowMs()));
  return [
    ['public/ticker', { run: ticker }],
    [
      'public/get_order_book',
      {
        run: (params) => {
          const { market } = venue.market(params);
          const depth = params.int('depth') ?? 5;
          const book = venue.book(market);
          book.refresh();
          const rows = (levels: ReadonlyMap<number, number>): string =>
            `[${[...levels]
              .slice(0, depth)
              .map(([price, lots]) => `[${priceFloat(market, price)},${amountFloat(market, lots)}]`)
              .join(',')}]`;
          const members = tickerMembers(market, venue.world.nowMs());
          return objectOf([...members, ['bids', rows(book.bids)], ['asks', rows(book.asks)], ['change_id', String(book.updateId)]]);
        },
      },
    ],
    ['public/get_book_summary_by_instrument', { run: (params) => `[${summaryObject(venue.market(params).market, venue.world.nowMs())}]` }],
    [
      'public/get_book_summary_by_currency',
      {
        run: (params) =>
          `[${venue
            .select(params.text('currency'), params.optionalText('kind'))
            .map(({ market }) => summaryObject(market, venue.world.nowMs()))
            .join(',')}]`,
      },
    ],
    [
      'public/get_index_price',
      {
        run: (params) => {
          const price = floatOf(INDEX[baseOfIndex(params)] ?? 1, 4);
          return `{"index_price":${price},"estimated_delivery_price":${price}}`;
        },
      },
    ],
  ];
}

function instrumentMethods(venue: DeribitVenue): [string, Method][] {
  return [
    [
      'public/get_instruments',
      {
        pool: 'instruments',
        run: (params) => {
          // Nothing of this world has expired yet.
          if (params.bool('expired')) return '[]';
          const list = venue.select(params.optionalText('currency') ?? 'any', params.optionalText('kind'));
          return JSON.stringify(list.map(({ market }) => market.spec.wire));
        },
      },
    ],
    ['public/get_instrument', { run: (params) => JSON.stringify(venue.market(params).market.spec.wire) }],
    [
      'public/get_contract_size',
      { run: (params) => `{"contract_size":${floatOf(Number(venue.market(params).market.spec.wire['contract_size']), 8)}}` },
    ],
    [
      'public/get_currencies',
      {
        run: () =>
          JSON.stringify(
            [
              ['BTC', 'Bitcoin', 'BITCOIN'],
              ['ETH', 'Ethereum', 'ETHER'],
              ['USDC', 'USD Coin', 'ETHER'],
              ['SOL', 'Solana', 'SOL'],
              ['XRP', 'XRP', 'XRP'],
            ].map(([currency, currency_long, coin_type]) => ({
              currency,
              currency_long,
              coin_type,
              withdrawal_priorities: [],
              withdrawal_fee: 0.0005,
              min_withdrawal_fee: 0.0005,
              min_confirmations: 1,
              fee_precision: 4,
              apr: 0,
              decimals: 8,
              network_fee: 0.00006,
              network_currency: currency,
              in_cross_collateral_pool: true,
            })),
          ),
      },
    ],
  ];
}

function historyMethods(venue: DeribitVenue): [string, Method][] {
  const byInstrument = (timed: boolean): Method => ({
    run: (params) => {
      const { market, names } = venue.market(params);
      return tradesOfInstrument(market, names, params, timed);
    },
  });
  const byCurrency = (timed: boolean): Method => ({
    run: (params) => tradesOfCurrency(venue.select(params.text('currency'), params.optionalText('kind')), params, timed),
  });
  return [
    ['public/get_last_trades_by_instrument', byInstrument(false)],
    ['public/get_last_trades_by_instrument_and_time', byInstrument(true)],
    ['public/get_last_trades_by_currency', byCurrency(false)],
    ['public/get_last_trades_by_currency_and_time', byCurrency(true)],
    ['public/get_tradingview_chart_data', { run: (params) => chartData(venue.market(params).market, params, venue.world.nowMs()) }],
  ];
}
