import { expect, it } from 'vitest';
import { plain, render, summaryLine } from './screen.ts';
import type { Snapshot } from './snapshot.ts';

const caption = {
  title: 'tapekeeper · simulator, seed 7',
  database: 'postgres://postgres:secret@127.0.0.1:5432/tapekeeper',
  redis: 'redis://127.0.0.1:6379',
  logs: '/tmp/logs',
  console: 'http://127.0.0.1:8080',
};

const view: Snapshot = {
  elapsedS: 3725.4,
  aggregate: 'HEALTHY',
  markets: [
    { marketId: 'deribit', state: 'HEALTHY', messagesPerS: 1234.5, tradesPerS: 560, feedAgeMs: 12, reconnects: 0 },
    { marketId: 'binance_spot', state: 'LOCKED', messagesPerS: null, tradesPerS: null, feedAgeMs: null, reconnects: 3 },
  ],
  stream: { length: 123_456, lag: 12, pending: 3 },
  rows: { total: 1_234_567, perS: 987.6 },
  latencyMs: { p50: 8.2, p99: 31.4 },
  gapsOpen: 2,
  dlq: 0,
  prices: Array.from({ length: 24 }, (_, i) => ({
    marketId: 'deribit',
    symbol: `S${i}`,
    unifiedSymbol: `S${i}/USD:S${i}`,
    last: `${i}.5`,
    bid: null,
    ask: null,
  })),
  processes: ['postgres', 'redis', 'simulator', 'receiver', 'distributor-1', 'distributor-2'].map((name, i) => ({
    name,
    pid: name === 'receiver' ? null : 1000 + i,
    rssBytes: 85_000_000,
    restarts: i === 3 ? 2 : 0,
  })),
  problem: null,
};

it.each([
  [80, 24],
  [120, 40],
  [40, 12],
  [200, 10],
])('fits a terminal of %i × %i', (width, height) => {
  const lines = render(view, caption, width, height).map(plain);
  expect(lines.length).toBeLessThanOrEqual(height);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
});

it('shows everything that the operator asks for at 80 × 24', () => {
  const text = render(view, caption, 80, 24).map(plain).join('\n');
  for (const shown of [
    'up 01:02:05',
    '1,235',
    '560',
    '12 ms',
    'LOCKED',
    'length 123,456',
    'lag 12',
    'pending 3',
    '1,234,567',
    '988/s',
    'p50 8 ms',
    'p99 31 ms',
    'gaps open 2',
    'dead letters 0',
    'S0/USD:S0 · deribit',
    '85 MB',
    'down',
    '↻2',
    'psql postgres://',
    'Ctrl-C',
  ]) {
    expect(text).toContain(shown);
  }
});

it('says it in one line where nothing can be redrawn', () => {
  expect(summaryLine(view)).toBe(
    '01:02:05  HEALTHY  rows 1,234,567 (988/s)  frames/s 1,235  trades/s 560  lag 12  gaps 2  dlq 0  p99 31 ms',
  );
});
