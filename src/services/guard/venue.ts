// The guard's own way to the exchange: mode, address and its own credentials must agree, as for the executor.
import { allowedMode } from '../../core/trading/mode.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import { isNearby } from '../../runtime/env_values.ts';
import { hideFromLogs } from '../../runtime/log.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { readSecret } from '../../runtime/trading_env.ts';

export interface GuardAccess {
  mode: string;
  venue: TradingVenue;
  /** Any instrument of the market: cancelling is tried on it with a label that nobody has. */
  symbol: string;
}

/** The way, or why there is none. */
export function venueOf(ctx: ServiceContext): GuardAccess | string {
  const { trading, markets } = ctx.config;
  const { market } = trading;
  if (trading.mode === 'observe') return 'EXECUTOR_MODE is observe: there is nothing to guard';
  if (market === null) return 'no market of MARKETS can be traded';
  const name = `${market.marketId.toUpperCase()}_CLIENT`;
  const id = readSecret(`${name}_ID`, trading.clientId);
  const secret = readSecret(`${name}_SECRET`, trading.clientSecret);
  if (!id.ok) return id.reason;
  if (!secret.ok) return secret.reason;
  for (const read of [id, secret]) if (read.fromFile) hideFromLogs(read.value);
  // The confirmations of live mode are for those who send orders: cancelling is allowed without them.
  const { mode, reason } = allowedMode({
    wanted: trading.mode, market, nearby: isNearby, liveTrading: true, liveAccount: 'any', credentials: { ok: true, fromFiles: id.fromFile && secret.fromFile },
  });
  const known = marketOf(market.marketId);
  if (mode === 'observe' || known?.trading === undefined) return reason ?? 'the market cannot be traded';
  const venue = known.trading.connect({
    restUrl: market.restUrl, wsUrl: market.wsUrl, credentials: { clientId: id.value, clientSecret: secret.value }, clock: ctx.clock, random: ctx.random,
    offset: () => 0, signal: ctx.signal,
  });
  const symbol = markets.find(({ marketId }) => marketId === market.marketId)?.symbols[0] ?? known.defaultSymbols[0]!;
  return { mode, venue, symbol };
}
