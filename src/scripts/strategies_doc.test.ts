// docs/strategies.md, executed: its strategy in a backtest, its YAML by the parser, its commands and its client against an executor.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { macOf } from '../services/executor/intake.ts';
import { parseStrategies } from '../services/executor/strategies/parse_strategies.ts';
import type { Strategy } from '../services/executor/strategies/strategy.ts';
import type { CandleChunk, ReplayInstrument } from '../store/replay.ts';
import { Runbook } from '../testing/runbook.ts';
import { redisServerInstalled } from '../testing/servers.ts';
import { openTradingStage } from '../testing/trading.ts';
import { parseOptions, type BacktestOptions } from './backtest/options.ts';
import { backtest } from './backtest/run.ts';
import { setupOf } from './backtest/setup.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENT = readFileSync(join(ROOT, 'docs/strategies.md'), 'utf8');
const STRATEGIES = join(ROOT, 'src/services/executor/strategies');
const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-strategies-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const blocks = (language: string): string[] =>
  [...DOCUMENT.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, body = '']) => body);

const row: ReplayInstrument = {
  instrumentId: 1, marketId: 'deribit', symbol: 'BTC-PERPETUAL', kind: 'perpetual', inverse: true, base: 'BTC', quote: 'USD', settle: 'BTC', tickSize: '0.5',
  minAmount: '10', amountStep: '10', contractSize: '10', expiryTs: null, makerFee: '0', takerFee: '0.0005',
};
const from = Date.UTC(2026, 9, 1) * 1000;

function candles(closes: readonly number[]): CandleChunk {
  const column = (of: (close: number, n: number) => number): Float64Array => Float64Array.from(closes, of);
  return {
    rows: closes.length, openTs: column((_close, n) => from + n * 60_000_000), open: column((close) => close), high: column((close) => close + 1),
    low: column((close) => close - 1), close: column((close) => close), volume: column(() => 1),
  };
}

describe('the strategy of the document', () => {
  // Its imports are those of a file beside the others.
  async function breakout(): Promise<Strategy> {
    const [code] = blocks('ts');
    const file = join(folder, 'breakout.ts');
    writeFileSync(file, code!.replaceAll('from \'./', `from '${STRATEGIES}/`).replace('from \'zod\'', `from '${join(ROOT, 'node_modules/zod/index.js')}'`));
    return ((await import(file)) as { breakout: Strategy }).breakout;
  }

  it('runs in a backtest and does what its comment says', async () => {
    const strategy = await breakout();
    writeFileSync(join(folder, 'breakout.yml'), 'period: 5\namount: 100\n');
    const argv = ['--strategy', 'breakout', '--market', 'deribit', '--symbol', 'BTC-PERPETUAL', '--from', '2026-10-01', '--to', '2026-10-01', '--params',
      join(folder, 'breakout.yml')];
    const options = parseOptions(argv, ['deribit'], {}, [strategy]) as BacktestOptions;
    // Flat, a break up at the 7th, held, a break down at the 12th; orders at the next open, a tick worse.
    const closes = [1000, 1000, 1000, 1000, 1000, 1000, 1010, 1011, 1011, 1010, 1010, 990, 991, 991];
    const run = () => {
      const pieces = async function* (): AsyncGenerator<CandleChunk, void, undefined> {
        yield await Promise.resolve(candles(closes));
      };
      const none = async function* (): AsyncGenerator<never, void, undefined> {
        // Nothing else is asked for.
      };
      return backtest(options, setupOf(row, options), { candles: pieces, trades: none, tickers: none }, new AbortController().signal);
    };
    const { report, fills } = await run();
    const told = fills.map(({ side, price, amount, ts }) => [side, price, amount, (ts - from) / 60_000_000]);
    expect(told).toEqual([['buy', '1011.5', '100', 7], ['sell', '990.5', '100', 12]]);
    expect(report).toMatchObject({ position: '0', refusals: {}, books: { equal: true } });
    expect((await run()).report).toEqual(report);
  });
});

it('the YAML of the document is one that the executor takes', () => {
  const entries = parseStrategies(blocks('yaml')[0]!, 'strategies.yml', ['deribit']);
  expect(entries.map(({ name, resolution, symbol }) => [name, resolution, symbol])).toEqual([
    ['trend-btc', '5m', 'BTC-PERPETUAL'], ['quote-maker', '1m', 'ETH-PERPETUAL'],
  ]);
});

it('every shipped strategy is in the document', async () => {
  const { STRATEGIES: shipped } = await import('../services/executor/strategies/registry.ts');
  expect(shipped.map(({ name }) => name).filter((name) => !DOCUMENT.includes(`| \`${name}\` |`))).toEqual([]);
});

interface Ended {
  code: number | null;
  lines: { kind: string; state?: string; code?: string }[];
}

async function client(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, 'docs/examples/signal-client.ts'), ...args], { env: { PATH: process.env['PATH'] ?? '', ...env } });
  let out = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, lines: out.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Ended['lines'][number]) };
}

describe.skipIf(!redisServerInstalled())('signals from outside', () => {
  it('are sent, answered and cancelled by redis-cli alone; the client does the same, with a mac where one is asked for', async () => {
    const stage = await openTradingStage('strategies_doc');
    const book = new Runbook('../strategies.md', { REDIS_URL: stage.redis.url });
    try {
      const { executor } = await stage.trading();
      expect((await book.run('printf', { '<signal_id>': 'by-hand-1', '<price>': await stage.restingPrice() })).out).toMatch(/^\d+-\d+\n$/);
      const { label } = await stage.answer('by-hand-1', ({ state }) => state === 'OPEN');
      expect((await book.run('redis-cli XREVRANGE')).out).toContain('by-hand-1');
      await book.run('printf', { '<cancel_id>': 'by-hand-2', '<label>': label! });
      await stage.answer('by-hand-1', ({ state }) => state === 'CANCELLED');
      expect(book.left).toEqual([]);

      const env = { REDIS_URL: stage.redis.url };
      const placed = await client(env, 'buy', '10', await stage.restingPrice());
      expect(placed.code).toBe(0);
      expect(placed.lines.at(-1)).toMatchObject({ kind: 'order', state: 'CANCELLED' });
      expect(await client(env, 'buy', '11', await stage.restingPrice())).toMatchObject({ code: 1, lines: [{ kind: 'refusal', code: 'OFF_LOT' }] });
      expect((await client(env, 'hold')).code).toBe(2);
      await executor.stop();
    } finally {
      book.close();
      await stage.close();
    }
  }, 300_000);

  it('the client and the command of the document make the executor\'s mac', async () => {
    const payload = '{"v":1}';
    const [, block] = blocks('text');
    const line = block!.split('\n')[0]!;
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, 'a-secret-of-two-people\n');
    const child = spawn('sh', ['-c', `${line}; printf %s "$mac"`], { env: { PATH: process.env['PATH'] ?? '', payload, SIGNAL_KEY_FILE: keyFile } });
    let out = '';
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    await new Promise((resolve) => child.once('close', resolve));
    expect(out).toBe(macOf(payload, Buffer.from('a-secret-of-two-people')));
  });
});
