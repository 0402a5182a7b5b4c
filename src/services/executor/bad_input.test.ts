// Bad signals through stream:signals into a running executor: each is refused with its code, on record, counted, answered, acknowledged,
// and nothing of it reaches the exchange.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Signal } from '../../contracts/index.ts';
import { openTradingStage, PATIENCE_MS, PERP, ready, stageRisk, type TradingStage } from '../../testing/trading.ts';
import { until as untilWithin } from '../../testing/receiver.ts';
import { macOf } from './intake.ts';
import type { RefusalCode } from './risk/codes.ts';

const KEY = 'a key that strategies and executor share';
const EXPIRED = 'BTC-1JAN26';
const DELISTED = 'BTC-2JAN26';
const allowed = (symbols: readonly string[]): string =>
  stageRisk({ limits: Object.fromEntries(symbols.map((symbol) => [symbol, [1000, 1000, 100_000] as const])) });

let stage: TradingStage;
let option: string;
let metricsUrl: string;
const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);

beforeAll(async () => {
  stage = await openTradingStage('executor_bad_input');
  // An option's name holds its date: the exchange must be there to tell it.
  const { rows } = await stage.db.query<{ symbol: string }>(
    `SELECT symbol FROM instruments WHERE kind = 'option' AND option_type = 'call' AND settle = 'BTC' ORDER BY expiry, strike LIMIT 1`);
  option = rows[0]!.symbol;
  await stage.receive({ DERIBIT_SYMBOLS: option });
  for (const [symbol, status] of [[EXPIRED, 'open'], [DELISTED, 'expired']]) {
    await stage.db.query(
      `INSERT INTO instruments (market_id, symbol, exchange, kind, base, quote, settle, inverse, contract_size, amount_unit, tick_size, min_amount, amount_step,
         expiry, status)
       SELECT market_id, $2, exchange, 'future', base, quote, settle, inverse, contract_size, amount_unit, tick_size, min_amount, amount_step,
         now() - interval '1 hour', $3 FROM instruments WHERE symbol = $1`, [PERP, symbol, status]);
  }
  writeFileSync(stage.env['RISK_FILE']!, allowed([option, EXPIRED, DELISTED]));
  const keyFile = join(stage.folder, 'signal-key');
  writeFileSync(keyFile, KEY, { mode: 0o400 });
  stage.signWith(KEY);
  const { executor } = await stage.trading({ SIGNAL_KEY_FILE: keyFile });
  const port = /"port":(\d+)/.exec(executor.log())?.[1];
  metricsUrl = `http://127.0.0.1:${port}/metrics`;
  await ready(stage, executor);
  await until(async () => (await stage.commands.hget(`ticker:deribit:${option}`, 'mark_price')) !== null);
}, 120_000);
afterAll(() => stage.close());

const counted = async (code: string): Promise<number> =>
  Number(new RegExp(`^executor_refusals_total\\{[^}]*code="${code}"[^}]*\\} (\\d+)`, 'm').exec(await (await fetch(metricsUrl)).text())?.[1]);

interface Bad {
  what: string;
  code: RefusalCode;
  /** Fields of the signal, instead of those of one that would be sent. */
  with: (price: number) => Record<string, unknown>;
  mac?: string | null;
}

const BAD: readonly Bad[] = [
  { what: 'an amount that is NaN', code: 'BAD_AMOUNT', with: () => ({ amount: 'NaN' }) },
  { what: 'an amount that is a number, not text', code: 'MALFORMED', with: () => ({ amount: 10 }) },
  { what: 'an amount that is null, which is what NaN becomes in JSON', code: 'MALFORMED', with: () => ({ amount: NaN }) },
  { what: 'an endless amount', code: 'BAD_AMOUNT', with: () => ({ amount: 'Infinity' }) },
  { what: 'a negative amount', code: 'BAD_AMOUNT', with: () => ({ amount: '-10' }) },
  { what: 'an amount of zero', code: 'BAD_AMOUNT', with: () => ({ amount: '0' }) },
  { what: 'an amount of minus zero', code: 'BAD_AMOUNT', with: () => ({ amount: '-0.0' }) },
  { what: 'an amount with an exponent', code: 'BAD_AMOUNT', with: () => ({ amount: '1e1' }) },
  { what: 'a hexadecimal amount', code: 'BAD_AMOUNT', with: () => ({ amount: '0x10' }) },
  { what: 'an amount of spaces', code: 'BAD_AMOUNT', with: () => ({ amount: ' 10 ' }) },
  { what: 'an amount off the lot', code: 'OFF_LOT', with: () => ({ amount: '15' }) },
  { what: 'an amount a hair off the lot', code: 'OFF_LOT', with: () => ({ amount: '10.000000000000000000000000000000000001' }) },
  { what: 'an amount below the least', code: 'BELOW_MINIMUM', with: () => ({ amount: '1' }) },
  { what: 'an amount above the limit', code: 'ORDER_AMOUNT', with: () => ({ amount: '1010' }) },
  { what: 'no price', code: 'BAD_PRICE', with: () => ({ price: undefined }) },
  { what: 'a price that is NaN', code: 'BAD_PRICE', with: () => ({ price: 'NaN' }) },
  { what: 'a negative price', code: 'BAD_PRICE', with: (price) => ({ price: `-${price}` }) },
  { what: 'a price of zero', code: 'BAD_PRICE', with: () => ({ price: '0' }) },
  { what: 'a price with an exponent', code: 'BAD_PRICE', with: () => ({ price: '6.5e4' }) },
  { what: 'a price off the tick', code: 'OFF_TICK', with: (price) => ({ price: `${price}.3` }) },
  { what: 'a price far from the market', code: 'PRICE_COLLAR', with: (price) => ({ price: String(price * 2) }) },
  { what: 'a market order with a price', code: 'BAD_ORDER', with: () => ({ order_type: 'market' }) },
  { what: 'a post-only order that may not rest', code: 'BAD_ORDER', with: () => ({ post_only: true, time_in_force: 'fill_or_kill' }) },
  { what: 'an instrument that nobody knows', code: 'UNKNOWN_INSTRUMENT', with: () => ({ symbol: 'BTC-NOTHING' }) },
  { what: 'an instrument of another market', code: 'UNKNOWN_INSTRUMENT', with: () => ({ market_id: 'binance_usdm' }) },
  { what: 'an instrument that the risk file does not name', code: 'NOT_ALLOWED', with: () => ({ symbol: 'ETH-PERPETUAL' }) },
  { what: 'an instrument whose time is over', code: 'NOT_TRADABLE', with: () => ({ symbol: EXPIRED }) },
  { what: 'an instrument that is not open', code: 'NOT_TRADABLE', with: () => ({ symbol: DELISTED }) },
  {
    what: 'an option with a perpetual\'s amount', code: 'ORDER_NOTIONAL',
    with: () => ({ symbol: option, amount: '10', order_type: 'market', price: undefined }),
  },
  { what: 'an option with a perpetual\'s price', code: 'PRICE_COLLAR', with: (price) => ({ symbol: option, amount: '0.1', price: String(price) }) },
  { what: 'an option on the perpetual\'s lot, not its own', code: 'OFF_LOT', with: () => ({ symbol: option, amount: '0.15', price: '0.01' }) },
  { what: 'an option on its small tick where the large one holds', code: 'OFF_TICK', with: () => ({ symbol: option, amount: '0.1', price: '0.0101' }) },
  { what: 'a perpetual with an option\'s amount', code: 'BELOW_MINIMUM', with: () => ({ amount: '0.1' }) },
  { what: 'a strategy that the risk file does not name', code: 'UNKNOWN_STRATEGY', with: () => ({ strategy: 'somebody' }) },
  { what: 'a signal whose time is over', code: 'STALE_SIGNAL', with: () => ({ created_ts: Date.now() * 1000 - 20_000_000 }) },
  { what: 'a signal from the future', code: 'STALE_SIGNAL', with: () => ({ created_ts: Date.now() * 1000 + 60_000_000 }) },
  { what: 'a field that nobody knows', code: 'MALFORMED', with: () => ({ leverage: '50' }) },
  { what: 'a side that is none', code: 'MALFORMED', with: () => ({ side: 'long' }) },
  { what: 'a cancellation of nobody\'s order', code: 'UNKNOWN_ORDER', with: () => ({ cancel_label: 'paper-manual-NONE' }) },
  { what: 'a signal without a mac', code: 'UNAUTHENTICATED', with: () => ({}), mac: null },
  { what: 'a signal with the mac of another one', code: 'UNAUTHENTICATED', with: () => ({}), mac: macOf('{}', Buffer.from(KEY)) },
  { what: 'a signal with the mac of another key', code: 'UNAUTHENTICATED', with: () => ({}), mac: 'f'.repeat(64) },
];

it.each(BAD)('$what is $code', async ({ code, with: changed, mac }) => {
  const [sent, before, told] = [stage.requests().length, await counted(code), (await stage.updates()).length];
  const price = Number(await stage.restingPrice());
  const fields = { price: String(price), ...changed(price) } as Partial<Signal>;
  const id = await stage.signal(fields, mac);
  // What is not read has no id to be answered by.
  const nameless = code === 'MALFORMED' || code === 'UNAUTHENTICATED';
  await until(async () => (await stage.updates()).slice(told).some((update) => update.kind === 'refusal' && (nameless || update.signal_id === id)));
  const answers = (await stage.updates()).slice(told);
  expect(answers.map(({ kind, code: answered }) => [kind, answered])).toEqual([['refusal', code]]);
  const { rows } = await stage.db.query<{ code: string; signal_id: string | null; reason: string; signal: unknown }>(
    'SELECT code, signal_id, reason, signal FROM risk_refusals ORDER BY at DESC LIMIT 1');
  expect(rows).toEqual([expect.objectContaining({ code, signal_id: nameless ? null : id })]);
  expect(JSON.stringify(rows[0]!.signal)).toContain(id);
  expect(await counted(code)).toBe(before + 1);
  await until(async () => ((await stage.commands.xpending('stream:signals', 'executor')) as [number])[0] === 0);
  expect((await stage.db.query('SELECT 1 FROM orders WHERE signal_id = $1', [id])).rowCount).toBe(0);
  expect(stage.requests()).toHaveLength(sent);
}, 60_000);

it('the same signal a hundred times is one order and 99 refusals', async () => {
  const [sent, before] = [stage.requests().length, await counted('DUPLICATE_SIGNAL')];
  const price = await stage.restingPrice();
  const id = await stage.signal({ price });
  for (let n = 1; n < 100; n++) await stage.signal({ signal_id: id, price });
  const answers = async (kind: string): Promise<number> => (await stage.updates()).filter((update) => update.signal_id === id && update.kind === kind).length;
  await until(async () => (await answers('refusal')) === 99);
  await stage.answer(id, ({ state }) => state === 'OPEN');
  expect(await counted('DUPLICATE_SIGNAL')).toBe(before + 99);
  expect((await stage.db.query(`SELECT 1 FROM risk_refusals WHERE signal_id = $1 AND code = 'DUPLICATE_SIGNAL'`, [id])).rowCount).toBe(99);
  expect(stage.requests()).toHaveLength(sent + 1);
}, 60_000);
