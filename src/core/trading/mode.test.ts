import { describe, expect, it } from 'vitest';
import { isOwnLabel, mintLabel } from './label.ts';
import { allowedMode, refusedAccount, type AccountFacts, type ModeFacts, type TradingMode } from './mode.ts';

const MODES: readonly TradingMode[] = ['observe', 'paper', 'test', 'live'];
const HOSTS = { sim: '127.0.0.1:7600', compose: 'simulator:7600', test: 'test.deribit.com', live: 'www.deribit.com', other: 'www.deribit.com.evil.com' };
const place = (host: string): NonNullable<ModeFacts['market']> => {
  const plain = host.includes(':') ? '' : 's';
  return { restUrl: `http${plain}://${host}/api/v2`, wsUrl: `ws${plain}://${host}/ws`, liveHost: HOSTS.live, testHost: HOSTS.test };
};
const CREDENTIALS: Record<string, ModeFacts['credentials']> = {
  files: { ok: true, fromFiles: true }, plain: { ok: true, fromFiles: false }, none: { ok: false, reason: 'not set' },
};
const nearby = (host: string): boolean => host === '127.0.0.1' || host === 'simulator';

describe('the mode', () => {
  it('comes true in exactly these combinations of address, credentials and confirmations', () => {
    const found: string[] = [];
    for (const wanted of MODES) for (const [where, host] of Object.entries(HOSTS)) for (const [how, credentials] of Object.entries(CREDENTIALS)) {
      for (const liveTrading of [false, true]) for (const liveAccount of [null, '7']) {
        const { mode, reason } = allowedMode({ wanted, market: place(host), nearby, credentials, liveTrading, liveAccount });
        expect(mode === wanted ? reason === null : mode === 'observe' && reason !== null && reason !== '').toBe(true);
        if (mode !== 'observe') found.push(`${mode} ${where} ${how}${mode === 'live' ? ` ${liveTrading} ${liveAccount}` : ''}`);
      }
    }
    expect([...new Set(found)]).toEqual(
      ['paper sim files', 'paper sim plain', 'paper compose files', 'paper compose plain', 'test test files', 'live live files true 7']);
  });

  it('asks of both addresses, and of TLS', () => {
    const facts = { wanted: 'live' as const, nearby, credentials: CREDENTIALS['files']!, liveTrading: true, liveAccount: '7' };
    const real = place(HOSTS.live);
    expect(allowedMode({ ...facts, market: { ...real, wsUrl: `wss://${HOSTS.test}/ws` } }).reason)
      .toBe('live trades at www.deribit.com alone, not at test.deribit.com');
    expect(allowedMode({ ...facts, market: { ...real, restUrl: `http://${HOSTS.live}/api` } }).reason).toBe('live needs TLS, not http://');
    expect(allowedMode({ ...facts, market: null }).mode).toBe('observe');
  });

  it.each<[TradingMode, Partial<AccountFacts>, string | null, RegExp | null]>([
    ['paper', {}, null, null],
    ['test', {}, null, null],
    ['paper', { hasWallet: true }, null, /scope of the wallet/],
    ['live', { hasWallet: true, liveFlag: '7' }, '7', /scope of the wallet/],
    ['paper', { mayTrade: false }, null, /may not trade/],
    ['live', { liveFlag: '7' }, '7', null],
    ['live', { liveFlag: '7' }, '8', /^LIVE_ACCOUNT is 8, the key is of account 7$/],
    ['live', {}, '7', /^trading_flags.live_trading is not set, not 7$/],
    ['live', { liveFlag: '8' }, '7', /^trading_flags.live_trading is 8, not 7$/],
  ])('%s with %o and LIVE_ACCOUNT %s', (mode, facts, liveAccount, why) => {
    const refused = refusedAccount(mode, { account: '7', hasWallet: false, mayTrade: true, liveFlag: null, ...facts }, liveAccount);
    if (why === null) expect(refused).toBeNull();
    else expect(refused).toMatch(why);
  });
});

describe('labels', () => {
  it('are known as ours, sort by time and fit', () => {
    const label = mintLabel('paper', 'sma-cross-long-name1', 1_795_000_000_000, () => 0.999);
    expect(label).toMatch(/^paper-sma-cross-long-name1-01[0-9A-Z]{8}Z{16}$/);
    expect(isOwnLabel(label)).toBe(true);
    expect(label.length).toBeLessThanOrEqual(64);
    expect(mintLabel('paper', 'a', 1, () => 0) < mintLabel('paper', 'a', 2, () => 0)).toBe(true);
    const others = ['', 'ext:1', 'paper-a', 'observe-a-01M7TK54R0ZZZZZZZZZZZZZZZZ', 'paper-A-01M7TK54R0ZZZZZZZZZZZZZZZZ'];
    expect(others.filter(isOwnLabel)).toEqual([]);
  });
});
