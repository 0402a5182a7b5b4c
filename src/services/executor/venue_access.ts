// The way to the exchange, if there shall be one: mode, address and credentials agree, or the executor observes and says why.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError, toError } from '../../core/errors.ts';
import { allowedMode, refusedAccount, type TradingMode } from '../../core/trading/mode.ts';
import type { TradingStore } from '../../core/trading/records.ts';
import { marketOf } from '../../exchanges/registry.ts';
import { VenueError, type AccountIdentity, type TradingVenue } from '../../exchanges/trading.ts';
import { isNearby } from '../../runtime/env_values.ts';
import { hideFromLogs } from '../../runtime/log.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { readSecret, readSecretFile } from '../../runtime/trading_env.ts';
import { parseRiskLimits, type RiskLimits } from './risk/limits.ts';

export interface Access {
  mode: TradingMode;
  /** Why it only observes, when something else was wanted. */
  reason: string | null;
  /** null: observe. */
  venue: TradingVenue | null;
}

const RETRY_MS = 2_000;

/** Decides without asking anybody; `offset` is the exchange's clock minus ours, µs. */
export function accessOf(ctx: ServiceContext, offset: () => number): Access {
  const { trading } = ctx.config;
  const name = trading.market === null ? 'CLIENT' : `${trading.market.marketId.toUpperCase()}_CLIENT`;
  const id = readSecret(`${name}_ID`, trading.clientId);
  const secret = readSecret(`${name}_SECRET`, trading.clientSecret);
  for (const read of [id, secret]) if (read.ok && read.fromFile) hideFromLogs(read.value);
  const bad = id.ok ? secret : id;
  const { mode, reason } = allowedMode({
    wanted: trading.mode, market: trading.market, nearby: isNearby, liveTrading: trading.liveTrading, liveAccount: trading.liveAccount,
    credentials: id.ok && secret.ok ? { ok: true, fromFiles: id.fromFile && secret.fromFile } : { ok: false, reason: bad.ok ? '' : bad.reason },
  });
  const market = trading.market;
  const private_ = market === null ? undefined : marketOf(market.marketId)?.trading;
  if (mode === 'observe' || market === null || private_ === undefined || !id.ok || !secret.ok) return { mode: 'observe', reason, venue: null };
  const venue = private_.connect({
    restUrl: market.restUrl, wsUrl: market.wsUrl, credentials: { clientId: id.value, clientSecret: secret.value }, clock: ctx.clock, random: ctx.random, offset,
    signal: ctx.signal,
  });
  return { mode, reason, venue };
}

/** Who the exchange says we are, asked until it answers; a reason when it refuses us, or the account may not be traded in this mode. */
export async function identify(ctx: ServiceContext, access: Access & { venue: TradingVenue }, store: TradingStore): Promise<AccountIdentity | string> {
  const { log, signal, config } = ctx;
  for (let complained = false; ; complained = true) {
    try {
      const identity = await access.venue.identity();
      const liveFlag = access.mode === 'live' ? await store.flag('live_trading') : null;
      return refusedAccount(access.mode, { ...identity, liveFlag }, config.trading.liveAccount) ?? identity;
    } catch (error) {
      if (error instanceof VenueError && !error.retry) return error.message;
      if (!complained) log.warn({ err: toError(error) }, 'the exchange does not say who we are, asking again');
      await sleep(RETRY_MS, undefined, { signal });
    }
  }
}

/** RISK_FILE, needed wherever orders are sent. Throws UsageError. */
export function riskLimitsOf(ctx: ServiceContext): RiskLimits | null {
  const { riskFile, mode } = ctx.config.trading;
  if (riskFile === null) {
    if (mode === 'observe') return null;
    throw new UsageError(`RISK_FILE is not set: EXECUTOR_MODE ${mode} needs it`);
  }
  let text: string;
  try {
    text = readFileSync(riskFile, 'utf8');
  } catch (error) {
    throw new UsageError(`RISK_FILE: cannot read ${riskFile}`, { cause: error });
  }
  return parseRiskLimits(text, riskFile);
}

/** The key of the signals' HMAC; null: none is wanted. A reason when it is wanted and cannot be had. */
export function signalKeyOf(ctx: ServiceContext): Buffer | null | string {
  const { signalKeyFile } = ctx.config.trading;
  if (signalKeyFile === null) return null;
  const read = readSecretFile('SIGNAL_KEY_FILE', signalKeyFile);
  if (!read.ok) return read.reason;
  hideFromLogs(read.value);
  return Buffer.from(read.value);
}
