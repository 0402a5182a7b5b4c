// Whether orders may be sent at all, and where to (pure). A mode is a wish; it comes true only when the address, the credentials and,
// for real money, three confirmations agree. Anything else leaves the executor in `observe`, with the reason.
export type TradingMode = 'observe' | 'paper' | 'test' | 'live';

export interface ModeFacts {
  wanted: TradingMode;
  /** null: no configured market can be traded. */
  market: { restUrl: string; wsUrl: string; liveHost: string; testHost: string } | null;
  /** Loopback or the Compose network. */
  nearby: (host: string) => boolean;
  credentials: { ok: true; fromFiles: boolean } | { ok: false; reason: string };
  liveTrading: boolean;
  liveAccount: string | null;
}

export interface AllowedMode {
  mode: TradingMode;
  /** Why it is not the wanted one; null when it is. */
  reason: string | null;
}

/** What can be decided without asking anybody. */
export function allowedMode(facts: ModeFacts): AllowedMode {
  const { wanted, market, credentials } = facts;
  const observe = (reason: string): AllowedMode => ({ mode: 'observe', reason });
  if (wanted === 'observe') return { mode: 'observe', reason: null };
  if (market === null) return observe('no market of MARKETS can be traded');
  const wrong = wrongPlace(facts, market);
  if (wrong !== null) return observe(wrong);
  if (!credentials.ok) return observe(credentials.reason);
  if (wanted !== 'paper' && !credentials.fromFiles) return observe(`${wanted} takes credentials from files alone`);
  if (wanted !== 'live') return { mode: wanted, reason: null };
  if (!facts.liveTrading) return observe('LIVE_TRADING is not 1');
  return facts.liveAccount === null ? observe('LIVE_ACCOUNT is not set') : { mode: 'live', reason: null };
}

/** Orders and the stream that tells of them go to the same place, and it is the one of the mode. */
function wrongPlace({ wanted, nearby }: ModeFacts, market: NonNullable<ModeFacts['market']>): string | null {
  for (const text of [market.restUrl, market.wsUrl]) {
    const { hostname, protocol } = new URL(text);
    if (wanted === 'paper') {
      if (!nearby(hostname)) return `paper trades at the simulator alone, ${hostname} is not on this machine or the Compose network`;
      continue;
    }
    const right = wanted === 'test' ? market.testHost : market.liveHost;
    if (hostname !== right) return `${wanted} trades at ${right} alone, not at ${hostname}`;
    if (protocol !== 'https:' && protocol !== 'wss:') return `${wanted} needs TLS, not ${protocol}//`;
  }
  return null;
}

/** What the exchange and the database say of the account. */
export interface AccountFacts {
  account: string;
  hasWallet: boolean;
  mayTrade: boolean;
  /** trading_flags.live_trading; null: not set. */
  liveFlag: string | null;
}

/** Why the mode may not be with this account, or null. */
export function refusedAccount(mode: TradingMode, facts: AccountFacts, liveAccount: string | null): string | null {
  if (facts.hasWallet) return 'the key has a scope of the wallet, where money moves out: make one that may trade alone (wallet:none)';
  if (!facts.mayTrade) return 'the key may not trade (trade:read_write is missing)';
  if (mode !== 'live') return null;
  if (facts.account !== liveAccount) return `LIVE_ACCOUNT is ${liveAccount ?? 'not set'}, the key is of account ${facts.account}`;
  return facts.liveFlag === facts.account ? null : `trading_flags.live_trading is ${facts.liveFlag ?? 'not set'}, not ${facts.account}`;
}
