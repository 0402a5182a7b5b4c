import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseStreamMessage, parseSubscriptionCommand } from './index.ts';

const trade = {
  v: 1, type: 'trade', market_id: 'deribit', symbol: 'BTC-PERPETUAL', exchange_ts: 1790755218589000, received_ts: 1790755218590123,
  trade_id: '356130979', seq: 242126084, price: '84319.0', amount: '580.0', side: 'sell',
};

describe('stream messages', () => {
  it('accepts what the contract describes', () => {
    expect(parseStreamMessage(trade)).toEqual({ ok: true, value: trade });
    expect(parseStreamMessage({ ...trade, seq: null, price: '-5.64' }).ok).toBe(true);
  });

  it.each([
    ['price', { ...trade, price: 'NaN' }, /^price: .*got "NaN"$/],
    ['price as a float', { ...trade, price: 84319 }, /^price: .*got 84319$/],
    ['exponent', { ...trade, price: '8.4e4' }, /^price: .*got "8\.4e4"$/],
    ['negative amount', { ...trade, amount: '-1' }, /^amount: /],
    ['infinity', { ...trade, seq: Infinity }, /^seq: /],
    ['milliseconds', { ...trade, exchange_ts: 1790755218589 }, /^exchange_ts: .*got 1790755218589$/],
    ['missing', { ...trade, trade_id: undefined }, /^trade_id: .*got nothing$/],
    ['NUL', { ...trade, symbol: 'BTC\0' }, /^symbol: /],
    ['long symbol', { ...trade, symbol: 'X'.repeat(10_000) }, /^symbol: .*X\.\.\.$/],
    ['unknown type', { ...trade, type: 'book' }, /^type: expected trade, ticker, ohlc or feed_status, got "book"$/],
    ['prototype name', { ...trade, type: 'constructor' }, /^type: /],
    ['not an object', null, /^type: .*got nothing$/],
    ['extra field', { ...trade, extra: 1 }, /extra/],
  ])('names the field and the value: %s', (_name, value, message) => {
    const result = parseStreamMessage(value);
    expect(result.ok ? '' : result.error).toMatch(message);
  });
});

it('subscription commands name what is wrong', () => {
  const command = { action: 'subscribe', symbols: ['BTCUSDT'], channels: ['trade'], request_id: 'r1' };
  expect(parseSubscriptionCommand(command)).toEqual({ ok: true, value: command });
  const error = (value: unknown): string => {
    const result = parseSubscriptionCommand(value);
    return result.ok ? '' : result.error;
  };
  expect(error({ ...command, channels: ['book'] })).toMatch(/^channels\.0: .*got "book"$/);
  expect(error({ ...command, symbols: [] })).toMatch(/^symbols: /);
  expect(error('subscribe')).toMatch(/^\(root\): .*got "subscribe"$/);
});

it('npm run contracts refuses what it does not know, and writes nothing then', () => {
  const script = join(import.meta.dirname, '../scripts/contracts.ts');
  const { status, stderr } = spawnSync(process.execPath, [script, '--bogus'], { encoding: 'utf8', cwd: import.meta.dirname });
  expect(stderr).toContain('contracts: unexpected argument "--bogus"');
  expect(status).toBe(2);
});
