// A built-in strategy in a whole executor: it observes and sends nothing; on paper it sends, is filled, and the books agree.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { until as untilWithin } from '../../../testing/receiver.ts';
import { openTradingStage, PATIENCE_MS, PERP, ready, stageRisk, type TradingStage } from '../../../testing/trading.ts';

const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);
/** At the middle, so that it is filled soon, on both sides. */
const STRATEGIES = `
strategies:
  - strategy: quote-maker
    market: deribit
    symbol: ${PERP}
    params: { amount: 10, max_position: 50, half_spread_bps: 0, skew_bps: 1, requote_ticks: 1 }
`;

let stage: TradingStage;
afterEach(() => stage.close());

async function count(query: string): Promise<number> {
  const { rows } = await stage.db.query<{ n: string }>(`SELECT count(*) AS n FROM ${query}`);
  return Number(rows[0]!.n);
}

it('quote-maker sends nothing in observe; in paper it trades, and its books are the exchange\'s', async () => {
  stage = await openTradingStage('strategy_paper', { risk: stageRisk({ strategies: ['manual', 'quote-maker'] }) });
  const file = join(stage.folder, 'strategies.yml');
  writeFileSync(file, STRATEGIES);
  await stage.state('HEALTHY');

  const observer = stage.run('executor', { EXECUTOR_MODE: 'observe', STRATEGIES_FILE: file });
  await until(async () => await count(`risk_refusals WHERE strategy = 'quote-maker' AND code = 'OBSERVE'`) >= 10);
  expect(await count('orders')).toBe(0);
  expect(stage.requests()).toEqual([]);
  expect(await observer.stop()).toBe(0);

  stage.run('guard');
  const executor = stage.run('executor', { STRATEGIES_FILE: file });
  await ready(stage, executor);
  const fills = `fills JOIN orders USING (account, exchange_order_id) WHERE strategy = 'quote-maker'`;
  await until(async () => await count(`${fills} AND fills.side = 'buy'`) >= 3 && await count(`${fills} AND fills.side = 'sell'`) >= 3);
  // What it wished was on tick and lot, inside its own bounds, and each signal came to one order.
  const { rows: [worst] } = await stage.db.query<{ above: string; twice: string }>(
    `SELECT count(*) FILTER (WHERE amount <> 10 OR price % 0.5 <> 0 OR NOT post_only) AS above, count(*) - count(DISTINCT signal_id) AS twice
     FROM orders WHERE strategy = 'quote-maker'`);
  expect(worst).toEqual({ above: '0', twice: '0' });
  const labels = stage.requests();
  expect(new Set(labels).size).toBe(labels.length);

  // Everything stands still: then both sides hold the same, to the last fill.
  writeFileSync(stage.killFile, 'count\n');
  await until(() => stage.account().open_orders.length === 0);
  await until(async () => await count('fills') === stage.account().fills);
  const position = async (): Promise<number> =>
    Number((await stage.db.query<{ amount: string }>('SELECT amount FROM positions WHERE symbol = $1', [PERP])).rows[0]?.amount ?? 0);
  const theirs = Number(stage.account().positions.find(({ symbol }) => symbol === PERP)?.amount ?? 0);
  expect(await position()).toBe(theirs);
  expect(Math.abs(theirs)).toBeLessThanOrEqual(50);
  await until(async () => await count(`orders WHERE state IN ('SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN')`) === 0);
}, 240_000);
