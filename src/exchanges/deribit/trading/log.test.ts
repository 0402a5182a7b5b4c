// The transaction log as the fleet reads it, against the simulator's books: after any history, fills and log together say what the
// exchange says, settlements, deliveries and crossings of zero included.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deliveriesOfLog, equityOf, tradesOfLog, TRADING_TYPES, type AccountLogRow } from '../../../core/trading/account_log.ts';
import { Exact, ZERO, plain } from '../../../core/trading/exact.ts';
import { parseExact } from '../../../core/json.ts';
import { sameFill, type FillReport } from '../../../core/trading/order.ts';
import { FLAT, applyFill, type Position } from '../../../core/trading/position.ts';
import { deribitSpecs } from '../../../simulator/deribit/catalogue.ts';
import { decText, type Dec } from '../../../simulator/deribit/private/money.ts';
import { VirtualWorld } from '../../../simulator/deribit/private/virtual.ts';
import { RpcError } from '../../../simulator/deribit/rpc.ts';
import { VenueError } from '../../trading.ts';
import { readFills, readLog, type Read } from './pages.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 10, 26, 20);
/** By then everything of the catalogue has expired that ever does. */
const LATER = 30 * 24 * HOUR;
const CURRENCIES = ['BTC', 'ETH', 'USDC'];
const EXPIRING = deribitSpecs(START).filter(({ kind, expiry }) => expiry !== undefined && kind !== 'combo' && expiry < START + LATER);
const some = (kind: string, settle: string): string[] => EXPIRING.filter((spec) => spec.kind === kind && spec.settle === settle).map(({ symbol }) => symbol);
const SYMBOLS = [
  'BTC-PERPETUAL', 'BTC_USDC-PERPETUAL', 'BTC_USDC', ...some('option', 'BTC').slice(3, 7), ...some('option', 'USDC'), ...some('future', 'BTC').slice(0, 1),
];
const number = (value: Dec): Exact => new Exact(decText(value));
const now = (): Promise<void> => Promise.resolve();

const step = fc.record({
  symbol: fc.constantFrom(...SYMBOLS, ...Array.from({ length: 4 }, () => SYMBOLS.slice(0, 2)).flat()),
  side: fc.constantFrom('buy' as const, 'sell' as const), lots: fc.integer({ min: 1, max: 2_000 }),
  close: fc.boolean(), wait: fc.integer({ min: 1, max: 3 * HOUR }),
});

/** Market orders, many of which turn a position around, over two settlements or thirty. */
function drive(seed: number, steps: readonly { symbol: string; side: 'buy' | 'sell'; lots: number; close: boolean; wait: number }[]): VirtualWorld {
  const world = new VirtualWorld({ seed, startMs: START, symbols: SYMBOLS, rate: 0.004, funding: true });
  for (const { symbol, side, lots, close, wait } of steps) {
    const contract = world.source.contract(symbol)!;
    const amount = contract.lot * BigInt(contract.kind === 'option' ? 1 + (lots % 40) : lots);
    try {
      if (close) world.engine.execute(world.nowMs, { do: 'close', symbol, type: 'market', price: null });
      else world.engine.execute(world.nowMs, { do: 'place', side, symbol, amount, type: 'market', price: null });
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
    world.pass(wait);
  }
  const end = START + (seed % 2 === 0 ? 37 * HOUR : LATER);
  world.pass(Math.max(1, end - world.nowMs));
  return world;
}

function reader(world: VirtualWorld): Read {
  const conn = world.connect();
  return (method, params) => new Promise((resolve, reject) => {
    world.login(conn);
    world.request(conn, method, params, (answer) => {
      if (typeof answer === 'string') resolve(parseExact(answer));
      else reject(answer ?? new Error('lost'));
    });
  });
}

const read = async (world: VirtualWorld): Promise<{ rows: AccountLogRow[]; fills: FillReport[] }> => {
  const ask = reader(world);
  const rows: AccountLogRow[] = [];
  for (const currency of CURRENCIES) rows.push(...await readLog(ask, currency, 0, (world.nowMs + HOUR) * 1000, now));
  return { rows, fills: await readFills(ask, CURRENCIES, 0, (world.nowMs + HOUR) * 1000) };
};

/** Our books of a symbol: fills and deliveries in the order of time, and the funding of what was settled. */
function bookOf(world: VirtualWorld, symbol: string, fills: readonly FillReport[], rows: readonly AccountLogRow[]): Position {
  const { reciprocal } = world.source.contract(symbol)!;
  const own = [...fills, ...deliveriesOfLog(rows)].filter((fill) => fill.symbol === symbol).sort((a, b) => a.ts - b.ts || (a.seq ?? 1e12) - (b.seq ?? 1e12));
  const position = own.reduce((before, fill) => applyFill(before, {
    side: fill.side, price: new Exact(fill.price), amount: new Exact(fill.amount), fee: new Exact(fill.fee),
  }, { reciprocal }), FLAT);
  const funding = rows.filter((row) => row.symbol === symbol).reduce((sum, row) => sum.plus(row.funding ?? '0'), ZERO);
  return { ...position, funding };
}

const history = fc.array(step, { minLength: 8, maxLength: 40 });

describe('fills and transaction log', () => {
  it('make the exchange\'s equity, inverse and linear, over settlements, deliveries and crossings of zero', async () => {
    let [funded, delivered, crossed] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000_000), history, async (seed, steps) => {
        const world = drive(seed, steps);
        const { engine } = world;
        const { rows, fills } = await read(world);
        const books = new Map(SYMBOLS.map((symbol) => [symbol, bookOf(world, symbol, fills, rows)]));
        for (const [symbol, { amount, funding }] of books) {
          const contract = world.source.contract(symbol)!;
          if (contract.kind === 'spot') continue;
          const theirs = engine.account.position(contract);
          expect(plain(amount)).toBe(plain(number(theirs.amount)));
          const settled = engine.account.log.filter((row) => row.contract?.symbol === symbol && row.type === 'settlement');
          expect(plain(funding)).toBe(plain(settled.reduce((sum, row) => sum.plus(number(row.funding)), ZERO)));
          if (!funding.isZero()) funded++;
        }
        delivered += deliveriesOfLog(rows).length;
        for (const currency of CURRENCIES) {
          const isSpot = (row: AccountLogRow): boolean => row.symbol !== null && world.source.contract(row.symbol)?.kind === 'spot';
          const outside = rows.filter((row) => row.currency === currency && (!TRADING_TYPES.includes(row.type) || isSpot(row)))
            .reduce((sum, row) => sum.plus(row.change), ZERO);
          const held = SYMBOLS.map((symbol) => world.source.contract(symbol)!).filter((contract) => contract.kind !== 'spot' && contract.currency === currency);
          const ours = equityOf(outside, held.map((contract) => ({
            position: books.get(contract.symbol)!, terms: { reciprocal: contract.reciprocal }, mark: number(engine.markets.mark(contract.symbol)),
          })));
          const running = held.reduce((sum, contract) => sum.plus(number(engine.account.position(contract).sessionFunding)), ZERO);
          // Each booking of the exchange is rounded to eight decimals.
          const tolerance = new Exact('1e-8').times(rows.length * 2 + 10);
          expect(number(engine.summary(currency).equity).minus(ours).minus(running).abs().lte(tolerance)).toBe(true);
        }
        // Every trade of the log is a fill, with its whole fee, however many rows it has.
        const told = tradesOfLog(rows);
        const byId = new Map(fills.map((fill) => [fill.tradeId, fill]));
        expect(told.map((one) => (one.ok ? one.trade.tradeId : one.reason)).sort()).toEqual([...byId.keys()].sort());
        for (const one of told) {
          const fill = byId.get(one.ok ? one.trade.tradeId : '')!;
          expect(one.ok && sameFill(one.trade, fill) && plain(new Exact(one.trade.fee)) === plain(new Exact(fill.fee))).toBe(true);
          const own = rows.filter((row) => row.tradeId === fill.tradeId && row.symbol !== 'BTC_USDC');
          if (own.length === 2) crossed++;
        }
      }),
      { numRuns: 40 },
    );
    expect(funded).toBeGreaterThan(10);
    expect(delivered).toBeGreaterThan(5);
    expect(crossed).toBeGreaterThan(10);
  }, 120_000);
});

describe('a page of the log', () => {
  const row = { id: 1, timestamp: START, currency: 'BTC', type: 'deposit', change: 1 };
  const answers = (...pages: unknown[]): Read => {
    let n = 0;
    return () => Promise.resolve(parseExact(JSON.stringify(pages[n++])));
  };
  it.each([
    ['without rows', [{ continuation: null }], 'logs'],
    ['of a row without a change', [{ logs: [{ ...row, change: undefined }], continuation: null }], 'change'],
    ['of another currency', [{ logs: [{ ...row, currency: 'ETH' }], continuation: null }], 'asked for BTC, row 1 is of ETH'],
    ['that is empty and claims there is more', [{ logs: [], continuation: 7 }], 'nothing new'],
    ['that comes again and again', [{ logs: [row], continuation: 1 }, { logs: [row], continuation: 1 }], 'nothing new'],
    ['that is no page', ['maintenance'], 'get_transaction_log'],
  ])('%s is an error, never "no data"', async (_what, pages, says) => {
    const error: unknown = await readLog(answers(...pages), 'BTC', 0, START * 1000, now).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(VenueError);
    expect((error as Error).message).toContain(says);
  });

  it('waits for its turn, each of them', async () => {
    let turns = 0;
    const pages = [{ logs: [row, { ...row, id: 3 }], continuation: 2 }, { logs: [{ ...row, id: 2 }], continuation: null }];
    const found = await readLog(answers(...pages), 'BTC', 0, START * 1000, () => {
      turns++;
      return now();
    });
    expect(found.map(({ logId }) => logId)).toEqual(['1', '2', '3']);
    expect(turns).toBe(2);
  });

  it('tells the funding of a session, which is not that of its last row', async () => {
    // The example of Deribit's document: a settlement of 1520 USD.
    const settlement = {
      ...row, type: 'settlement', trade_id: null, order_id: null, total_interest_pl: 0.00001243, side: 'long', session_upl: 0.00220172,
      session_rpl: -0.00004467, price: 51807.07, position: 1520,
      interest_pl: 0.00000993, instrument_name: 'BTC-PERPETUAL', commission: null, change: 0.00215706, amount: 1520,
    };
    const [told] = await readLog(answers({ logs: [settlement], continuation: null }), 'BTC', 0, START * 1000, now);
    expect(told).toMatchObject({ funding: '0.00001243', side: null, change: '0.00215706', symbol: 'BTC-PERPETUAL', tradeId: null });
  });
});
