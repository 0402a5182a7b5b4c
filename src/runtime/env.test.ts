import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { loadConfig } from './env.ts';
import { VARIABLES } from './variables.ts';

const load = (env: Record<string, string>): ReturnType<typeof loadConfig> => loadConfig(MARKETS, env);
const refusal = (env: Record<string, string>): string => {
  try {
    load(env);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return 'accepted';
};

describe('loadConfig', () => {
  it('serves all markets at the real exchanges by default', () => {
    const config = load({});
    expect(config.markets.map((m) => [m.marketId, m.wsUrl, m.restUrl])).toEqual([
      ['deribit', 'wss://www.deribit.com/ws/api/v2', 'https://www.deribit.com/api/v2'],
      ['binance_spot', 'wss://stream.binance.com:9443', 'https://api.binance.com'],
      ['binance_usdm', 'wss://fstream.binance.com', 'https://fapi.binance.com'],
    ]);
    expect(config.unlockPolicy).toBe('auto');
    expect(Object.isFrozen(config) && Object.isFrozen(config.markets[0])).toBe(true);
  });

  it('replaces exactly the base in sim mode and by URL', () => {
    const config = load({ EXCHANGE_MODE: 'sim', SIM_URL: 'http://simulator:7600', BINANCE_SPOT_WS_URL: 'ws://127.0.0.1:9/x/' });
    expect(config.markets.map((m) => [m.wsUrl, m.restUrl])).toEqual([
      ['ws://simulator:7600/deribit/ws/api/v2', 'http://simulator:7600/deribit/api/v2'],
      ['ws://127.0.0.1:9/x', 'http://simulator:7600/binance_spot'],
      ['ws://simulator:7600/binance_usdm', 'http://simulator:7600/binance_usdm'],
    ]);
  });

  it('locks after a bootstrap where real orders can be sent, unless told otherwise', () => {
    expect(load({ EXECUTOR_MODE: 'live' }).unlockPolicy).toBe('manual');
    expect(load({ EXECUTOR_MODE: 'paper' }).unlockPolicy).toBe('auto');
    expect(load({ EXECUTOR_MODE: 'live', UNLOCK_POLICY: 'auto' }).unlockPolicy).toBe('auto');
  });

  it('splits lists, keeps the case of symbols and drops repeats', () => {
    const config = load({ MARKETS: 'deribit', DERIBIT_SYMBOLS: ' XRP_USDC-30JUN23-0d625-C, BTC-PERPETUAL,BTC-PERPETUAL ' });
    expect(config.markets[0]?.symbols).toEqual(['XRP_USDC-30JUN23-0d625-C', 'BTC-PERPETUAL']);
  });

  it('reads secrets from files and remembers what must not be logged', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'env-')), 'url');
    writeFileSync(file, 'postgres://fleet:s3cr%40t@db:5432/fleet\n');
    const config = load({ DATABASE_URL_FILE: file });
    expect(config.databaseUrl).toBe('postgres://fleet:s3cr%40t@db:5432/fleet');
    expect(config.secrets).toContain('s3cr@t');
    expect(refusal({ DATABASE_URL_FILE: '/nowhere/x' })).toBe('DATABASE_URL_FILE: cannot read /nowhere/x');
  });

  it.each([
    [{ MARKETS: 'deribit,kraken' }, 'MARKETS: unknown market kraken; known: deribit, binance_spot, binance_usdm'],
    [{ BINANCE_SPTO_SYMBOLS: 'BTCUSDT' }, 'BINANCE_SPTO_SYMBOLS: unknown market binance_spto; known: deribit, binance_spot, binance_usdm'],
    [{ KRAKEN_SYMBOLS: 'XBT' }, 'KRAKEN_SYMBOLS: unknown market kraken; known: deribit, binance_spot, binance_usdm'],
    [{ DATABSE_URL: 'x' }, 'DATABSE_URL: unknown variable, did you mean DATABASE_URL?'],
    [{ CHANNELS: 'trade,book' }, 'CHANNELS: "book" is not one of trade, ticker, ohlc'],
    [{ OHLC_RESOLUTIONS: '7m' }, /^OHLC_RESOLUTIONS: "7m" is not one of/],
    [{ DERIBIT_WS_URL: 'https://www.deribit.com' }, 'DERIBIT_WS_URL: "https://www.deribit.com" is not a ws:// or wss:// URL'],
    [{ DERIBIT_WS_URL: 'ws://www.deribit.com/ws' }, /^DERIBIT_WS_URL: ws:\/\/ is accepted for loopback/],
    [{ DATABASE_URL: 'mysql://u:hunter2@h/d' }, 'DATABASE_URL: "mysql://***@h/d" is not a postgres:// or postgresql:// URL'],
    [{ BATCH_MAX_ROWS: '1e3' }, 'BATCH_MAX_ROWS: "1e3" is not a whole number from 1 to 50000'],
    [{ METRICS_PORT: '70000' }, /METRICS_PORT: "70000" is not a whole number/],
    [{ SIM_SPEED: '0' }, 'SIM_SPEED: "0" is not a positive number'],
    [{ INSTANCE_ID: 'a b' }, /^INSTANCE_ID: "a b"/],
    [{ EXCHANGE_MODE: 'simulated' }, 'EXCHANGE_MODE: "simulated" is not one of live, sim'],
  ])('refuses %j', (env, message) => {
    expect(refusal(env as Record<string, string>)).toMatch(message);
  });

  it('has every variable, with its default, in .env.example', () => {
    const lines = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8').split('\n');
    for (const [name, { default: value }] of Object.entries(VARIABLES)) {
      expect(lines, name).toContain(`${value === '' ? '# ' : ''}${name}=${value}`);
    }
  });
});
