// The whole recording fleet on a Redis with little memory: what it does without as memory goes, and that nothing is lost by it.
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readMemory } from '../../bus/memory.ts';
import { WorkQueue } from '../../bus/queue.ts';
import { changeState } from '../../bus/state.ts';
import { queueTradeWorkKey, streamMarketDataKey, systemStateSimpleKey, tickerKey, type MemoryLevel } from '../../contracts/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { start as backfill } from '../../services/backfill/main.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { start as govern } from '../../services/janitor/govern.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { Filler } from '../../testing/filler.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import { start as maintain } from './main.ts';

const [KEPT, SHED] = ['BTC-PERPETUAL', 'ETH-PERPETUAL'];
const SERVICES = { distributor: distribute, backfill, governor: govern, maintenance: maintain };
const clock = systemClock();

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let filler: Filler;
let running: RunningReceiver[] = [];

async function open(channels: string): Promise<void> {
  database = await freshDatabase('redis_full', { migrated: true });
  const env = {
    DATABASE_URL: database.url, MARKETS: 'deribit', DERIBIT_SYMBOLS: `${KEPT},${SHED}`, CHANNELS: channels, UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0',
  };
  stage = await openStage(env, { rate: 200 }, { maxmemory: '48mb' });
  client = new pg.Client(database.url);
  await client.connect();
  filler = new Filler(redis());
  await (await runInProcess('janitor', bootstrap, stage.env)).stop();
}

async function run(...names: (keyof typeof SERVICES)[]): Promise<RunningReceiver[]> {
  const started = await Promise.all(names.map((name) => runInProcess(name, SERVICES[name], { ...stage.env, INSTANCE_ID: '1' })));
  running.push(...started);
  return started;
}

const redis = (): Stage['published']['redis'] => stage.published.redis;
const simple = (): Promise<string | null> => redis().get(systemStateSimpleKey);
/** Stored trades of the market, or of one symbol. */
async function stored(symbol: string | null = null): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM public_trades JOIN instruments USING (instrument_id)
     WHERE market_id = 'deribit' AND ($1::text IS NULL OR symbol = $1)`, [symbol]);
  return rows[0]!.n;
}
const moreThan = (n: number, symbol: string | null = null) => async (): Promise<boolean> => (await stored(symbol)) > n;

/** Trades of the ledger, from each symbol's first stored to its last stored one, that are not stored as they were made. */
async function lost(): Promise<string[]> {
  const { rows } = await client.query<{ symbol: string; seq: number; text: string }>(
    `SELECT symbol, seq::float8 AS seq, trade_id || ' ' || trim_scale(price) || ' ' || trim_scale(amount) || ' ' || side AS text
     FROM public_trades JOIN instruments USING (instrument_id) WHERE market_id = 'deribit' ORDER BY seq`);
  const have = new Map(rows.map(({ symbol, seq, text }) => [`${symbol} ${seq}`, text]));
  const ends = new Map<string, [number, number]>();
  for (const { symbol, seq } of rows) ends.set(symbol, [ends.get(symbol)?.[0] ?? seq, seq]);
  await stage.simulator.ledger.commit();
  return [...stage.simulator.ledger.entries()].flatMap((entry) => {
    if (entry.k !== 'trade' || entry['market_id'] !== 'deribit' || entry.seq === undefined) return [];
    const [symbol, seq] = [String(entry['symbol']), entry.seq];
    const [first, last] = ends.get(symbol) ?? [Infinity, -Infinity];
    const plain = (name: string): string => String(Number(entry[name]));
    const owed = `${String(entry['trade_id'])} ${plain('price')} ${plain('amount')} ${String(entry['side'])}`;
    return seq < first || seq > last || have.get(`${symbol} ${seq}`) === owed ? [] : [`${symbol} ${seq}: ${owed}, stored ${have.get(`${symbol} ${seq}`)}`];
  });
}

async function level(wanted: MemoryLevel, ratio: number): Promise<void> {
  await filler.to(ratio);
  await until(async () => {
    // What the fleet writes meanwhile comes on top: keep to the middle of the step.
    await filler.to(ratio);
    return (await readMemory(redis()))?.level === wanted;
  });
}

describe.skipIf(!redisServerInstalled())('a Redis that fills up', () => {
  beforeEach(() => {
    running = [];
  });
  afterEach(async () => {
    await Promise.all(running.map((one) => one.stop()));
    await client.end();
    await stage.close();
    await database.drop();
  });

  it('costs one thing after the other, and all of it comes back by itself, gaps healed', async () => {
    await open('trade,ticker,ohlc');
    const receiver = await stage.receive();
    const [, worker] = await run('distributor', 'backfill', 'governor', 'maintenance');
    await until(moreThan(50, SHED));
    await until(async () => (await simple()) === 'HEALTHY');

    await level('pause_backfill', 0.77);
    await until(async () => (await worker!.metric('backfill_paused')) === 1);
    const job = { job_id: 'j', market_id: 'deribit', symbol: KEPT, from_seq: 1, to_seq: 1, reason: 'test', attempts: 0 };
    await redis().lpush(queueTradeWorkKey, JSON.stringify(job));

    await level('shed_tickers', 0.82);
    await until(async () => (await receiver.metric('receiver_shed_tickers_total')) > 0);
    const told = await receiver.metric('receiver_messages_total', { type: 'ticker' });
    const quoted = await redis().hget(tickerKey('deribit', KEPT), 'received_ts');
    await until(async () => (await redis().hget(tickerKey('deribit', KEPT), 'received_ts')) !== quoted);

    await level('shed_symbols', 0.89);
    await until(async () => (await receiver.metric('receiver_withheld_subscriptions')) === 3);
    await until(async () => (await receiver.metric('receiver_subscriptions', { state: 'active' })) === 3);
    await until(moreThan(await stored(KEPT) + 100, KEPT));
    expect(await receiver.metric('receiver_messages_total', { type: 'ticker' })).toBe(told);
    expect(await redis().llen(queueTradeWorkKey)).toBeGreaterThan(0);

    await level('locked', 0.97);
    await until(async () => (await simple()) === 'LOCKED');

    await filler.empty();
    await until(async () => (await readMemory(redis()))?.level === 'normal');
    await until(async () => (await simple()) === 'HEALTHY', 40_000);
    await until(async () => (await receiver.metric('receiver_subscriptions', { state: 'active' })) === 6);
    await until(async () => (await receiver.metric('receiver_messages_total', { type: 'ticker' })) > told);
    const healed = `SELECT FROM data_gaps JOIN instruments USING (instrument_id) WHERE symbol = $1 AND reason LIKE '%withheld while redis was nearly full'
      AND CASE WHEN from_seq IS NULL THEN reason LIKE 'candles %' ELSE data_gaps.status = 'closed' AND recovered = expected END`;
    await until(async () => (await client.query(healed, [SHED])).rowCount === 2);
    expect((await client.query(healed, [KEPT])).rowCount).toBe(0);
    await until(async () => (await redis().llen(queueTradeWorkKey)) === 0);
    await receiver.stop();
    await until(async () => (await lost()).length === 0);
    const levels = (await stage.published.events('memory.level')).map(({ data }) => String(data['level']));
    expect(levels.filter((one) => one !== 'warn').slice(0, 4)).toEqual(['pause_backfill', 'shed_tickers', 'shed_symbols', 'locked']);
    expect(levels.at(-1)).toBe('normal');
    const changes = (await stage.published.events('state.changed')).map(({ data }) => `${String(data['from'])} ${String(data['to'])} ${String(data['by'])}`);
    expect(changes.slice(-3)).toEqual(['HEALTHY LOCKED memory ladder', 'LOCKED RECONCILING memory ladder', 'RECONCILING HEALTHY governor']);
  }, 120_000);

  it('at maxmemory still drains, changes states and gives out jobs; nothing is lost', async () => {
    await open('trade');
    const receiver = await stage.receive();
    const [first] = await run('distributor');
    await until(moreThan(50));
    await first!.stop();
    // A backlog that nobody has, and a Redis that takes nothing more.
    const backlog = async (): Promise<number> => (await redis().xlen(streamMarketDataKey)) - (await stored());
    await until(async () => (await backlog()) > 300);
    const queue = new WorkQueue({ redis: redis(), queue: queueTradeWorkKey, worker: 'test', leaseMs: 30_000, nowMicros: () => clock.nowMicros() });
    const release = await filler.hold();
    await until(async () => (await receiver.metric('receiver_publish_failures_total')) > 0);
    const before = await stored();

    // Also a process that starts only now: it drains all there is.
    await run('distributor');
    await until(moreThan(before + 200));
    const unread = async (): Promise<number> => {
      const [group] = (await redis().xinfo('GROUPS', streamMarketDataKey)) as unknown[][];
      const value = (name: string): number => Number(group![group!.indexOf(name) + 1]);
      return value('lag') + value('pending');
    };
    await until(async () => (await unread()) === 0);

    const change = (expected: 'HEALTHY' | 'AUDITING' | '*', to: 'AUDITING' | 'LOCKED' | 'HEALTHY'): Promise<unknown> =>
      changeState(redis(), { exchange: 'deribit', expected, to, epoch: 99, atMicros: clock.nowMicros(), by: 'test', reason: 'full' }, ['deribit']);
    for (const to of ['AUDITING', 'LOCKED', 'HEALTHY'] as const) {
      expect(await change('*', to)).toMatchObject({ ok: true });
      expect(await simple()).toBe(to);
    }
    const job = { job_id: 'j', market_id: 'deribit', symbol: KEPT, from_seq: 1, to_seq: 1, reason: 'test', attempts: 0 };
    expect(await queue.push(job)).toBe(true);
    const leased = await queue.pop();
    expect(JSON.parse(leased!.payload)).toEqual(job);
    expect(await queue.done(leased!, 'j')).toBe(true);
    await expect(redis().xadd(streamMarketDataKey, '*', 'payload', 'x')).rejects.toThrow('OOM');

    // Memory is back: what waited in the receiver goes on.
    await until(async () => (await receiver.metric('receiver_buffer_messages')) > 100);
    const waiting = await receiver.metric('receiver_buffer_messages');
    const drained = await stored();
    await release();
    await filler.empty();
    await until(moreThan(drained + waiting));
    await until(() => receiver.health.ready);
    await receiver.stop();
    await until(async () => (await unread()) === 0);
    expect(await lost()).toEqual([]);
    expect((await client.query('SELECT FROM data_gaps')).rowCount).toBe(0);
    expect(await receiver.metric('receiver_dropped_messages_total')).toBe(0);
  }, 120_000);
});
