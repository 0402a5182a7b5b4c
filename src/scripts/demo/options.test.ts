import { expect, it } from 'vitest';
import { UsageError } from '../../core/errors.ts';
import { parseOptions, refuseUnreadable } from './options.ts';

const MARKETS = ['deribit', 'binance_spot'];
const parse = (...argv: string[]): ReturnType<typeof parseOptions> => parseOptions(argv, {}, MARKETS);

it('runs until it is stopped, without faults, when nothing is said', () => {
  expect(parse()).toMatchObject({ mode: 'sim', durationS: null, report: null, faults: false, replay: null, distributors: 2, symbols: null });
});

it('breaks things in a checked run, unless told not to or replaying', () => {
  expect(parse('--duration', '30', '--seed', '7', '--report', 'r.json')).toMatchObject({ durationS: 30, seed: 7, faults: true });
  expect(parse('--duration', '30', '--faults', 'off')?.faults).toBe(false);
  expect(parse('--duration', '30', '--replay', 'x')?.faults).toBe(false);
});

it('reads symbols by market', () => {
  expect(parse('--symbols', 'deribit:BTC-PERPETUAL, binance_spot:BTCUSDT,deribit:ETH-PERPETUAL')?.symbols)
    .toEqual(new Map([['deribit', ['BTC-PERPETUAL', 'ETH-PERPETUAL']], ['binance_spot', ['BTCUSDT']]]));
});

it('takes paths from where npm was called', () => {
  const env = { INIT_CWD: '/home/me' };
  expect(parseOptions(['--duration', '1', '--report', 'r.json', '--replay', '/tapes', '--data', 'd'], env, MARKETS))
    .toMatchObject({ report: '/home/me/r.json', replay: '/tapes', dataDir: '/home/me/d' });
});

it('keeps live and simulated data apart', () => {
  expect(parse('--live')?.dataDir).not.toBe(parse()?.dataDir);
  expect(parseOptions([], { DATA_DIR: '/x' }, MARKETS)?.dataDir).toBe('/x');
});

it.each([
  ['--duration', 'soon'], ['--duration', '0'], ['--seed', '-1'], ['--rate', 'NaN'], ['--symbols', 'kraken:XBT'], ['--symbols', 'BTCUSDT'],
  ['--faults', 'maybe'], ['--report', 'r.json'], ['--nonsense', '1'], ['extra'], ['--live', '--seed', '3'],
])('refuses %s %s', (...argv) => {
  expect(() => parse(...argv)).toThrow(UsageError);
});

it('refuses a replay of a folder that is not there, by its name', () => {
  expect(() => refuseUnreadable('/nowhere/tapes')).toThrow(UsageError);
  expect(() => refuseUnreadable('/nowhere/tapes')).toThrow('--replay: cannot read the folder /nowhere/tapes: ENOENT');
  expect(() => refuseUnreadable(import.meta.dirname)).not.toThrow();
});
