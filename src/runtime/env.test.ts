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

  it('gives priority to the first half of the symbols, unless told otherwise', () => {
    const priority = (more: Record<string, string>): unknown => load({ MARKETS: 'deribit', ...more }).markets[0]?.priority;
    expect(priority({ DERIBIT_SYMBOLS: 'A,B,C' })).toEqual(['A', 'B']);
    expect(priority({ DERIBIT_SYMBOLS: 'A,B,C', DERIBIT_PRIORITY: 'C,D' })).toEqual(['C', 'D']);
    expect(priority({ DERIBIT_SYMBOLS: 'kind:perpetual' })).toEqual(['kind:perpetual']);
    expect(priority({ DERIBIT_SYMBOLS: 'BTC-*-C,A,kind:option' })).toEqual(['BTC-*-C', 'A']);
    expect(priority({ DERIBIT_SYMBOLS: 'kind:option', DERIBIT_PRIORITY: 'BTC-*-C,A,kind:future' })).toEqual(['BTC-*-C', 'A', 'kind:future']);
    expect(refusal({ DERIBIT_PRIORITY: 'A B' })).toMatch('DERIBIT_PRIORITY: "A B" cannot be a symbol');
    expect(refusal({ DERIBIT_PRIORTY: 'A' })).toMatch('DERIBIT_PRIORTY: unknown variable, did you mean DERIBIT_PRIORITY?');
  });

  it('takes a relative folder of captures from the working directory', () => {
    expect(load({ CAPTURE_DIR: 'raw' }).capture.folder).toBe(join(process.cwd(), 'raw'));
    expect([load({ CAPTURE_DIR: '/raw/' }).capture.folder, load({}).capture.folder]).toEqual(['/raw', null]);
  });

  it('tells patterns from symbols, and refuses those that can never match', () => {
    const config = load({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-*-C,BTC-PERPETUAL, kind:perpetual' });
    expect(config.markets[0]).toMatchObject({ symbols: ['BTC-PERPETUAL'], patterns: ['BTC-*-C', 'kind:perpetual'] });
    expect(refusal({ DERIBIT_SYMBOLS: 'kind:optoin' })).toMatch(/^DERIBIT_SYMBOLS: "kind:optoin" is not one of .*, did you mean kind:option\?$/);
    expect(refusal({ DERIBIT_SYMBOLS: 'BTC-**' })).toContain('DERIBIT_SYMBOLS: "BTC-**" has **');
    expect(refusal({ DERIBIT_PRIORITY: 'kind:optoin' })).toMatch(/^DERIBIT_PRIORITY: "kind:optoin" is not one of .*, did you mean kind:option\?$/);
  });

  it('reads secrets from files and remembers what must not be logged', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'env-')), 'url');
    writeFileSync(file, 'postgres://fleet:s3cr%40t@db:5432/fleet\n');
    const config = load({ DATABASE_URL_FILE: file });
    expect(config.databaseUrl).toBe('postgres://fleet:s3cr%40t@db:5432/fleet');
    expect(config.secrets).toContain('s3cr@t');
    expect(refusal({ DATABASE_URL_FILE: '/nowhere/x' })).toBe('DATABASE_URL_FILE: cannot read /nowhere/x');
    writeFileSync(file, '\n');
    expect(refusal({ DATABASE_URL_FILE: file })).toBe(`DATABASE_URL_FILE: ${file} is empty`);
  });

  it('refuses to trust whoever answers', () => {
    expect(refusal({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toMatch(/^NODE_TLS_REJECT_UNAUTHORIZED: "0" would trust anybody; remove it/);
    expect(refusal({ NODE_TLS_REJECT_UNAUTHORIZED: '1' })).toBe('accepted');
  });

  it('reads what belongs to a market from files too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'env-'));
    const file = (text: string): string => {
      const path = join(folder, `${text.length}`);
      writeFileSync(path, `${text}\n`);
      return path;
    };
    const given = {
      MARKETS: 'deribit', DERIBIT_SYMBOLS_FILE: file('BTC-PERPETUAL,ETH-PERPETUAL'),
      DERIBIT_WS_URL_FILE: file('wss://test.deribit.com/ws/api/v2'), DERIBIT_REST_URL_FILE: file('https://test.deribit.com/api/v2'),
    };
    expect(load(given).markets).toEqual([{
      marketId: 'deribit', exchange: 'deribit', wsUrl: 'wss://test.deribit.com/ws/api/v2', restUrl: 'https://test.deribit.com/api/v2',
      symbols: ['BTC-PERPETUAL', 'ETH-PERPETUAL'], patterns: [], priority: ['BTC-PERPETUAL'],
    }]);
    expect(refusal({ DERIBIT_SYMBOLS_FILE: '/nowhere/x' })).toBe('DERIBIT_SYMBOLS_FILE: cannot read /nowhere/x');
    expect(refusal({ ...given, DERIBIT_SYMBOLS: 'X' })).toBe('DERIBIT_SYMBOLS and DERIBIT_SYMBOLS_FILE are both set: keep one');
    expect(refusal({ DERIBIT_WS_URL_FILE: file('ws://evil.com') })).toMatch(/^DERIBIT_WS_URL: ws:\/\/ is accepted for loopback/);
  });

  it('leaves alone what is not its own', () => {
    const foreign = ['REDIS', 'DATABASE', 'LOG', 'INSTANCE', 'METRICS', 'SIM', 'TICKER', 'PATH', 'HOME', 'npm_config_cache', 'LOG_FILE', 'ENV_FILE', 'PG_URL'];
    expect(refusal(Object.fromEntries(foreign.map((name) => [name, 'x'])))).toBe('accepted');
    expect(refusal(Object.fromEntries(Object.keys(process.env).map((name) => [name, process.env[name] ?? ''])))).toBe('accepted');
  });

  it('takes a symbol of any script, up to the longest that the contracts allow', () => {
    const symbols = ['币安人生USDT', 'X'.repeat(96)];
    expect(load({ MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: symbols.join(',') }).markets[0]?.symbols).toEqual(symbols);
  });

  it.each([
    [{ MARKETS: ',,' }, 'MARKETS: ",," names no market; known: deribit, binance_spot, binance_usdm'],
    [{ SIM_URL: 'http://evil.com' }, 'SIM_URL: http:// is accepted for loopback and the Compose network only, not for evil.com'],
    [{ DERIBIT_SYMBOLS: 'BTC-PERPETUAL,BTC PERP' }, 'DERIBIT_SYMBOLS: "BTC PERP" cannot be a symbol'],
    [{ BINANCE_SPOT_SYMBOLS: 'X'.repeat(200) }, /^BINANCE_SPOT_SYMBOLS: "X{50,}\.\.\. cannot be a symbol: at most 96 characters/],
    [{ OHLC_RESOLUTIONS: '1m,10m' }, 'OHLC_RESOLUTIONS: binance_spot does not serve "10m"; it serves 1s, 1m,'],
    [{ OHLC_RESOLUTIONS: '1s', MARKETS: 'binance_spot,binance_usdm' }, 'OHLC_RESOLUTIONS: binance_usdm does not serve "1s"'],
    [{ TICKER_INTERVAL: '5' }, 'TICKER_INTERVAL: unknown variable, did you mean TICKER_INTERVAL_MS?'],
    [{ TICKER_SAMPLE: '5' }, 'TICKER_SAMPLE: unknown variable, did you mean TICKER_SAMPLE_MS?'],
    [{ CLAIM_IDLE: '5' }, 'CLAIM_IDLE: unknown variable, did you mean CLAIM_IDLE_MS?'],
    [{ RECEIVER_BUFFER: '5' }, 'RECEIVER_BUFFER: unknown variable, did you mean RECEIVER_BUFFER_MESSAGES?'],
    [{ BATCH_MAX: '5' }, 'BATCH_MAX: unknown variable, did you mean BATCH_MAX_ROWS?'],
    [{ BATCH_MAX_FILE: '/x' }, 'BATCH_MAX_FILE: unknown variable, did you mean BATCH_MAX_ROWS?'],
    [{ DERIBIT_WS: 'wss://x' }, 'DERIBIT_WS: unknown variable, did you mean DERIBIT_WS_URL?'],
    [{ KRAKEN_SYMBOLS_FILE: '/x' }, 'KRAKEN_SYMBOLS_FILE: unknown market kraken; known: deribit, binance_spot, binance_usdm'],
    [{ DATABSE_URL_FILE: '/x' }, 'DATABSE_URL_FILE: unknown variable, did you mean DATABASE_URL?'],
    [{ MARKETS: 'deribit,kraken' }, 'MARKETS: unknown market kraken; known: deribit, binance_spot, binance_usdm'],
    [{ BINANCE_SPTO_SYMBOLS: 'BTCUSDT' }, 'BINANCE_SPTO_SYMBOLS: unknown market binance_spto; known: deribit, binance_spot, binance_usdm'],
    [{ KRAKEN_SYMBOLS: 'XBT' }, 'KRAKEN_SYMBOLS: unknown market kraken; known: deribit, binance_spot, binance_usdm'],
    [{ DATABSE_URL: 'x' }, 'DATABSE_URL: unknown variable, did you mean DATABASE_URL?'],
    [{ CHANNELS: 'trade,book' }, 'CHANNELS: "book" is not one of trade, ticker, ohlc'],
    [{ CHANNELS: ',,' }, 'CHANNELS: ",," is not one of trade, ticker, ohlc'],
    [{ OHLC_RESOLUTIONS: ' , ' }, /^OHLC_RESOLUTIONS: "," is not one of 1s, 1m/],
    [{ MARKET: 'deribit' }, 'MARKET: unknown variable, did you mean MARKETS?'],
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

  it('has what only Compose reads, with its default, in .env.example', () => {
    const root = join(import.meta.dirname, '../..');
    const [example, compose] = ['.env.example', 'docker-compose.yml'].map((name) => readFileSync(join(root, name), 'utf8')) as [string, string];
    const composed = [...compose.matchAll(/\$\{([A-Z_]+):-([^}]*)\}/g)].filter(([, name = '']) => !(name in VARIABLES));
    const missing = composed.filter(([, name, value]) => value !== '' && !example.includes(`\n# ${name}=${value}\n`));
    expect(missing.map(([text]) => text)).toEqual([]);
  });
});
