// The curve of what trading has won, beside the books' own arithmetic.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Exact, ZERO } from '../../core/trading/exact.ts';
import { FLAT, applyFill, unrealised, type Position } from '../../core/trading/position.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { profitCurve } from './glance.ts';

const START = Date.UTC(2026, 10, 28);
const SYMBOLS = [
  { symbol: 'INVERSE', reciprocal: true, currency: 'BTC', prices: ['80000', '82500.5', '79000', '81000', '85000', '84000'] },
  { symbol: 'LINEAR', reciprocal: false, currency: 'USDC', prices: ['10', '11.25', '9.5', '10.125', '12', '8'] },
  { symbol: 'OTHER', reciprocal: false, currency: 'USDC', prices: ['3', '2.5', '2.75', '4', '3.5', '3.25'] },
] as const;
const AMOUNTS = ['30', '-10', '-40', '50', '20', '-50'];

describe('the profit curve', () => {
  let database: FreshDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await freshDatabase('glance', { migrated: true });
    client = new pg.Client(database.url);
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  it('is what the books say after each fill: realised, open at the price of the fill, fees off', async () => {
    const books = new Map<string, { position: Position; value: Exact }>();
    const expected = new Map<string, string>();
    for (const { symbol, reciprocal, currency } of SYMBOLS) {
      await client.query(`INSERT INTO instruments (market_id, symbol, exchange, kind, inverse, settle, status)
        VALUES ('m', $1, 'e', 'perpetual', $2, $3, 'open')`,
        [symbol, reciprocal, currency]);
    }
    // Their minutes interleave, so that one's curve holds still while another's moves.
    for (let n = 0; n < AMOUNTS.length * SYMBOLS.length; n++) {
      const { symbol, reciprocal, currency, prices } = SYMBOLS[n % SYMBOLS.length]!;
      const [amount, price, fee] = [AMOUNTS[Math.floor(n / SYMBOLS.length)]!, prices[Math.floor(n / SYMBOLS.length)]!, '0.0001'];
      const [side, size] = amount.startsWith('-') ? ['sell' as const, amount.slice(1)] : ['buy' as const, amount];
      await client.query(`INSERT INTO fills
          (account, trade_id, exchange_order_id, market_id, symbol, ts, side, price, amount, liquidity, fee, fee_currency, kind, source, recorded_at)
        VALUES ('a', $1, 'x', 'm', $2, $3, $4, $5, $6, 'taker', $7, $8, 'trade', 'stream', now())`,
      [`t${n}`, symbol, new Date(START + n * 60_000), side, price, size, fee, currency]);
      const terms = { reciprocal };
      const position = applyFill(books.get(symbol)?.position ?? FLAT, { side, price: new Exact(price), amount: new Exact(size), fee: new Exact(fee) }, terms);
      books.set(symbol, { position, value: position.realised.plus(unrealised(position, new Exact(price), terms)).minus(position.fees) });
      const total = SYMBOLS.filter((each) => each.currency === currency).reduce((sum, each) => sum.plus(books.get(each.symbol)?.value ?? ZERO), ZERO);
      expected.set(`${currency} ${START * 1000 + n * 60_000_000}`, total.toFixed(9));
    }
    const curve = await profitCurve(client, 1_000);
    expect(new Map(curve.map(({ currency, at, total }) => [`${currency} ${at}`, new Exact(total).toFixed(9)]))).toEqual(expected);
    expect((await profitCurve(client, 2)).length).toBe(4);
  });
});
