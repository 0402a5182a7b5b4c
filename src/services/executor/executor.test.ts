// The executor as a process, against the simulator over sockets, with a real PostgreSQL and Redis.
import { afterEach, describe, expect, it } from 'vitest';
import { openTradingStage, PERP, type TradingStage } from '../../testing/trading.ts';
import { until } from '../../testing/receiver.ts';

let stage: TradingStage;
const open = async (name: string): Promise<TradingStage> => (stage = await openTradingStage(name));
afterEach(() => stage.close());

const states = async (signalId: string): Promise<string[]> => (
  await stage.db.query<{ e: string }>(
    `SELECT to_state AS e FROM order_events JOIN orders USING (order_id) WHERE signal_id = $1 ORDER BY order_events.version`, [signalId])
).rows.map((row) => row.e);

describe('a signal', () => {
  it('becomes one order, its fills, and a position that equals the exchange\'s', async () => {
    await open('executor_thin');
    await stage.trading();
    const before = stage.requests().length;
    const id = await stage.signal({ order_type: 'market', amount: '40' });
    const filled = await stage.answer(id, ({ state }) => state === 'FILLED');
    expect(filled).toMatchObject({ kind: 'order', market_id: 'deribit', symbol: PERP, data: { amount: '40', filled_amount: '40', strategy: 'manual' } });
    expect(stage.requests().filter((label) => label === filled.label)).toHaveLength(1);
    expect(stage.requests()).toHaveLength(before + 1);
    expect((await states(id)).slice(0, 2)).toEqual(['PENDING', 'SENDING']);
    const { rows } = await stage.db.query<{ amount: string }>('SELECT amount FROM positions WHERE symbol = $1', [PERP]);
    expect(rows.map((row) => Number(row.amount))).toEqual(stage.account().positions.map((position) => Number(position.amount)));
    expect((await stage.updates()).some((update) => update.kind === 'fill')).toBe(true);
    // The same signal again is answered, and not sent.
    await stage.signal({ signal_id: id, order_type: 'market', amount: '40' });
    expect(await stage.answer(id, ({ kind }) => kind === 'refusal')).toMatchObject({ code: 'DUPLICATE_SIGNAL' });
    expect(stage.requests()).toHaveLength(before + 1);
    await until(async () => ((await stage.commands.xpending('stream:signals', 'executor')) as [number])[0] === 0);
  }, 60_000);
});
