// The matching engine in virtual time: what is refused, what trades, what ends an order.
import { beforeEach, describe, expect, it } from 'vitest';
import { interestBetween } from '../funding.ts';
import type { RpcError } from '../rpc.ts';
import type { Command, Outcome, PlaceCommand } from './commands.ts';
import { dec, decText } from './money.ts';
import { orderAverage, type Order } from './orders.ts';
import { averagePrice } from './position.ts';
import { VirtualWorld } from './virtual.ts';

/** 2026-11-24 07:50 UTC: ten minutes before the day's end. */
const START = Date.UTC(2026, 10, 24, 7, 50);
const PERP = 'BTC-PERPETUAL';
const LINEAR = 'BTC_USDC-PERPETUAL';
const OPTION = 'BTC-27NOV26-88000-C';

let world: VirtualWorld;
beforeEach(() => {
  world = new VirtualWorld({ seed: 3, startMs: START, symbols: [PERP, LINEAR, OPTION, 'BTC_USDC', 'BTC-FS-25DEC26_PERP'] });
});

const run = (command: Command, conn: number | null = 1): Outcome => world.engine.execute(world.nowMs, command, { conn, api: true });
const limit = (side: 'buy' | 'sell', price: string, amount: string, more: Partial<PlaceCommand> = {}): PlaceCommand => ({
  do: 'place', side, symbol: PERP, amount: dec(amount), type: 'limit', price: dec(price), ...more,
});
const market = (side: 'buy' | 'sell', amount: string, symbol = PERP): PlaceCommand => ({
  do: 'place', side, symbol, amount: dec(amount), type: 'market', price: null,
});
const placed = (command: Command): Order => {
  const { order } = run(command);
  if (order === null) throw new Error('no order');
  return order;
};
const best = (symbol = PERP): { bid: string; ask: string } => {
  const { bid, ask } = world.source.best(symbol);
  return { bid: decText(bid), ask: decText(ask) };
};
const codeOf = (command: Command): number | null => {
  try {
    run(command);
    return null;
  } catch (error) {
    return (error as RpcError).code;
  }
};
const below = (ticks: number, symbol = PERP): string => decText(world.source.best(symbol).bid - dec('0.5') * BigInt(ticks));
const above = (ticks: number): string => decText(world.source.best(PERP).ask + dec('0.5') * BigInt(ticks));
const sizeOf = (symbol = PERP): string => decText(world.engine.account.position(world.source.contract(symbol)!).amount);

describe('what is refused', () => {
  it.each<[number, (bid: string) => Command]>([
    [13020, (bid) => limit('buy', bid, '10', { symbol: 'BTC-NOPE' })],
    [10020, (bid) => limit('buy', bid, '10', { symbol: 'BTC-FS-25DEC26_PERP' })],
    [10002, (bid) => limit('buy', bid, '5')],
    [10021, (bid) => limit('buy', bid, '15')],
    [10027, (bid) => limit('buy', bid, '10', { amount: null, contracts: dec('1.5') })],
    [11029, (bid) => limit('buy', bid, '10', { contracts: dec('2') })],
    [-32602, (bid) => limit('buy', bid, '10', { amount: null })],
    [-32602, (bid) => limit('buy', bid, '10', { label: 'x'.repeat(65) })],
    [10023, () => ({ ...limit('buy', '1', '10'), price: null })],
    [10023, () => limit('buy', '0', '10')],
    [10043, () => limit('buy', '80000.25', '10')],
    [10007, () => limit('buy', '200000', '10')],
    [10005, () => limit('sell', '1000', '10')],
    [11055, (bid) => limit('buy', bid, '10', { postOnly: true, timeInForce: 'immediate_or_cancel' })],
    [11047, () => ({ ...market('buy', '10'), timeInForce: 'good_til_cancelled' })],
    [11030, (bid) => limit('sell', bid, '10', { reduceOnly: true })],
    [11030, () => ({ do: 'close', symbol: PERP, type: 'market', price: null })],
    [13888, (bid) => limit('buy', bid, '10', { validUntilMs: START - 1 })],
    [10009, (bid) => limit('buy', bid, '500000000')],
    [10009, () => limit('buy', '86000', '50', { symbol: 'BTC_USDC' })],
    [10004, () => ({ do: 'cancel', orderId: 'ETH-1' })],
  ])('%i', (code, command) => {
    expect(codeOf(command(best().bid))).toBe(code);
    expect(world.engine.orders.open()).toEqual([]);
  });

  it('takes labels of 64 characters, and the same one twice', () => {
    const label = 'y'.repeat(64);
    for (let i = 0; i < 2; i++) placed(limit('buy', below(9), '10', { label }));
    expect(world.engine.orders.labelled(label).map((order) => order.status)).toEqual(['open', 'open']);
  });

  it('takes nothing while the day is settled, except what a lost connection cancels', () => {
    const order = placed(limit('buy', below(400), '10'));
    world.pass(600_000);
    expect(codeOf(limit('buy', below(400), '10'))).toBe(10041);
    expect(codeOf({ do: 'cancel', orderId: order.id })).toBe(10041);
    expect(run({ do: 'cancel_where', where: () => true, reason: 'cancel_on_disconnect' }).cancelled).toHaveLength(1);
    world.pass(3_000);
    expect(codeOf(limit('buy', below(400), '10'))).toBe(null);
  });
});

describe('takers', () => {
  it('take the levels of the book, best first, and what they took is gone until it changes', () => {
    const { asks } = world.source.depth(PERP);
    const two = asks[0]!.amount + asks[1]!.amount;
    const { order, fills } = run(limit('buy', decText(asks[1]!.price), decText(two + dec('10'))));
    expect(fills.map(({ price, amount, liquidity }) => [price, amount, liquidity])).toEqual([
      [asks[0]!.price, asks[0]!.amount, 'T'], [asks[1]!.price, asks[1]!.amount, 'T'],
    ]);
    expect(order).toMatchObject({ status: 'open', filled: two });
    expect(placed(limit('buy', decText(asks[1]!.price), '10', { timeInForce: 'immediate_or_cancel' }))).toMatchObject({ status: 'cancelled', filled: 0n });
    world.pass(2_000);
    expect(placed(limit('buy', above(3), '10', { timeInForce: 'immediate_or_cancel' }))).toMatchObject({ status: 'filled' });
  });

  it('print on the tape with contiguous numbers', () => {
    const before = world.markets.get(PERP)!.history.last;
    const { fills } = run(market('sell', '200000'));
    expect(fills.length).toBeGreaterThan(1);
    expect(fills.map((fill) => fill.tradeSeq)).toEqual(fills.map((_, i) => before + 1 + i));
  });

  it('fill all or nothing (fill_or_kill), or cancel the rest (immediate_or_cancel)', () => {
    const amount = decText(world.source.depth(PERP).asks[0]!.amount + dec('10'));
    expect(placed(limit('buy', best().ask, amount, { timeInForce: 'fill_or_kill' }))).toMatchObject({ status: 'cancelled', filled: 0n });
    expect(placed(limit('buy', best().ask, amount, { timeInForce: 'immediate_or_cancel' }))).toMatchObject({
      status: 'cancelled', filled: world.source.depth(PERP).asks[0]!.amount,
    });
    expect(world.engine.fills).toHaveLength(1);
  });

  it('leave the rest of a market_limit order at the price of its last fill', () => {
    const order = placed({ ...market('buy', '4000000'), type: 'market_limit' });
    expect(order.status).toBe('open');
    expect(order.price).toBe(world.engine.fills.at(-1)!.price);
  });

  it('average their fills, harmonically where the contract is', () => {
    const order = placed(market('buy', '300000'));
    const coin = world.engine.fills.reduce((sum, fill) => sum + (fill.amount * 10n ** 18n) / fill.price, 0n);
    expect(Number(orderAverage(order))).toBeCloseTo(Number((order.amount * 10n ** 18n) / coin), -6);
  });
});

describe('makers', () => {
  it('post one tick inside the spread, or are refused, when they would take', () => {
    const { ask } = world.source.best(PERP);
    const order = placed(limit('buy', above(5), '10', { postOnly: true }));
    expect(order).toMatchObject({ status: 'open', price: ask - dec('0.5'), filled: 0n });
    expect(codeOf(limit('buy', above(5), '10', { postOnly: true, rejectPostOnly: true }))).toBe(11054);
  });

  it('are filled by the prints and quotes of others, at their own price, without a taker fee', () => {
    const order = placed(limit('buy', best().bid, '20000'));
    const changes = Array.from({ length: 400 }, () => world.pass(50)).flat();
    const fills = changes.flatMap((change) => change.fills);
    expect(fills.length).toBeGreaterThan(1);
    expect(new Set(fills.map((fill) => `${fill.liquidity} ${fill.price} ${fill.fee}`)).size).toBe(1);
    expect(fills[0]).toMatchObject({ liquidity: 'M', price: order.price, fee: 0n });
    expect(fills.reduce((sum, fill) => sum + fill.amount, 0n)).toBe(world.engine.orders.get(order.id)!.filled);
    expect(sizeOf()).toBe(decText(world.engine.orders.get(order.id)!.filled));
  });

  it('keep their place when only shrunk, and lose it otherwise', () => {
    const first = placed(limit('buy', below(50), '100'));
    const second = placed(limit('buy', below(50), '100'));
    expect(placed({ do: 'edit', orderId: first.id, amount: dec('60'), price: null }).rank).toBe(first.rank);
    expect(placed({ do: 'edit', orderId: first.id, amount: dec('80'), price: null }).rank).toBeGreaterThan(second.rank);
  });

  it('carry fills over an edit, cannot be shrunk below them, and take when they are moved across', () => {
    const amount = world.source.depth(PERP).asks[0]!.amount;
    const order = placed(limit('buy', best().ask, decText(amount + dec('100'))));
    expect(order.filled).toBe(amount);
    expect(codeOf({ do: 'edit', orderId: order.id, amount, price: null })).toBe(10021);
    const edited = placed({ do: 'edit', orderId: order.id, amount: null, price: dec(above(2)) });
    expect(edited).toMatchObject({ status: 'filled', filled: amount + dec('100'), replaced: true });
    expect(codeOf({ do: 'edit', orderId: order.id, amount: null, price: dec(above(2)) })).toBe(11008);
  });

  it('are cancelled when an edit would make a reject_post_only order take', () => {
    const order = placed(limit('buy', below(5), '10', { postOnly: true, rejectPostOnly: true }));
    expect(placed({ do: 'edit', orderId: order.id, amount: null, price: dec(above(5)) })).toMatchObject({
      status: 'cancelled', cancelReason: 'edit_post_only_reject',
    });
    expect(codeOf({ do: 'cancel', orderId: order.id })).toBe(11044);
  });
});

describe('positions', () => {
  it('are only reduced by reduce-only orders, which end with them', () => {
    run(market('buy', '100'));
    const resting = placed(limit('sell', above(200), '500', { reduceOnly: true }));
    expect(resting.amount).toBe(dec('100'));
    expect(placed({ ...market('sell', '5000'), reduceOnly: true })).toMatchObject({ amount: dec('100'), status: 'filled' });
    expect(sizeOf()).toBe('0.0');
    expect(world.engine.orders.get(resting.id)?.status).toBe('cancelled');
  });

  it('close by close_position', () => {
    run(market('sell', '0.5', LINEAR));
    const { order } = run({ do: 'close', symbol: LINEAR, type: 'market', price: null });
    expect(order).toMatchObject({ side: 'buy', status: 'filled', reduceOnly: true });
    expect(sizeOf(LINEAR)).toBe('0.0');
  });

  it('cross zero in two rows of one trade', () => {
    run(market('buy', '100'));
    const rows = world.engine.account.log.length;
    run(market('sell', '150'));
    const trade = world.engine.account.log.slice(rows);
    expect(trade.map(({ side, amount, position }) => [side, decText(amount), decText(position)])).toEqual([
      ['close sell', '100.0', '0.0'], ['open sell', '50.0', '-50.0'],
    ]);
    expect(new Set(trade.map((row) => row.tradeId)).size).toBe(1);
    expect(trade.reduce((sum, row) => sum + row.commission!, 0n)).toBe(world.engine.fills.at(-1)!.fee);
  });

  it('settle at 08:00 UTC: the session moves to the balance, good-til-day orders end', () => {
    run(market('buy', '100000'));
    const day = placed(limit('buy', below(900), '10', { timeInForce: 'good_til_day' }));
    const kept = placed(limit('buy', below(900), '10'));
    const balance = world.engine.account.balance('BTC');
    world.pass(600_000);
    const row = world.engine.account.log.at(-1)!;
    expect(row).toMatchObject({ type: 'settlement', side: 'long', position: dec('100000') });
    expect(row.change).toBe(row.sessionRealised + row.sessionUnrealised);
    expect(world.engine.account.balance('BTC')).toBe(balance + row.change);
    expect(world.engine.summary('BTC')).toMatchObject({ futuresSessionUpl: 0n, futuresSessionRpl: 0n });
    expect([day.id, kept.id].map((id) => world.engine.orders.get(id)?.status)).toEqual(['cancelled', 'open']);
    expect(world.engine.orders.get(day.id)?.cancelReason).toBe('settlement');
  });

  it('of perpetuals pay the funding of the hour, which is settled with the session', () => {
    world = new VirtualWorld({ seed: 3, startMs: START, symbols: [PERP, LINEAR], funding: true });
    run(market('sell', '100000'));
    run(market('buy', '2', LINEAR));
    world.nowMs += 480_000;
    world.pass(1_000);
    for (const [symbol, currency] of [[PERP, 'BTC'], [LINEAR, 'USDC']] as const) {
      const position = world.engine.account.position(world.source.contract(symbol)!);
      const held = symbol === PERP ? -100_000 / Number(decText(world.source.index(PERP))) : 2 * Number(decText(world.source.index(LINEAR)));
      const due = -held * interestBetween(world.markets.get(symbol)!, START, world.nowMs);
      expect(Math.abs(due)).toBeGreaterThan(1e-8);
      expect(Number(decText(position.sessionFunding))).toBeCloseTo(due, symbol === PERP ? 8 : 4);
      expect(position.sessionRealised).toBe(position.sessionFunding);
      expect(world.engine.summary(currency).futuresSessionRpl).toBe(position.sessionFunding);
    }
    world.pass(120_000);
    const rows = world.engine.account.log.filter((row) => row.type === 'settlement');
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(row.change).toBe(row.funding + row.sessionUnrealised);
    expect(world.engine.account.position(world.source.contract(PERP)!).sessionFunding).toBe(0n);
  });

  it('of options pay the premium at once and what they are worth at expiry', () => {
    const balance = world.engine.account.balance('BTC');
    const { fills } = run(market('buy', '1', OPTION));
    const paid = fills.reduce((sum, fill) => sum + (fill.amount * fill.price) / 10n ** 18n + fill.fee, 0n);
    expect(world.engine.account.balance('BTC')).toBe(balance - paid);
    world.nowMs = Date.UTC(2026, 10, 27, 7, 59, 59);
    world.pass(5_000);
    expect(world.engine.account.positions('BTC')).toEqual([]);
    expect(world.engine.account.log.at(-1)).toMatchObject({ type: 'delivery', position: 0n });
    expect(codeOf(market('buy', '1', OPTION))).toBe(13019);
  });

  it('follow a correction that no trade explains', () => {
    run(market('buy', '100'));
    const [change] = world.engine.correct(world.nowMs, PERP, dec('-30'), dec('86000'));
    expect(change).toMatchObject({ orders: [], fills: [], moved: true });
    expect(sizeOf()).toBe('70.0');
    expect(world.engine.account.log.at(-1)).toMatchObject({ type: 'correction', change: 0n });
  });

  it('have a harmonic average where the contract is reciprocal', () => {
    run(market('buy', '100000'));
    const position = world.engine.account.position(world.source.contract(PERP)!);
    const prices = world.engine.fills.map((fill) => Number(fill.price));
    expect(Number(averagePrice(position))).toBeGreaterThanOrEqual(Math.min(...prices));
    expect(Number(averagePrice(position))).toBeLessThanOrEqual(Math.max(...prices));
  });
});

it('does the same again with the same seed', () => {
  const history = [1, 2].map(() => {
    const again = new VirtualWorld({ seed: 9, startMs: START, symbols: [PERP] });
    for (let i = 0; i < 60; i++) {
      const { bid, ask } = again.source.best(PERP);
      again.engine.execute(again.nowMs, { ...limit(i % 2 === 0 ? 'buy' : 'sell', '1', '50'), price: i % 2 === 0 ? bid : ask });
      again.pass(100);
    }
    return again.engine.fills.map((fill) => `${fill.tradeId} ${fill.price} ${fill.amount} ${fill.order.id}`);
  });
  expect(history[0]!.length).toBeGreaterThan(20);
  expect(history[0]).toEqual(history[1]);
});
