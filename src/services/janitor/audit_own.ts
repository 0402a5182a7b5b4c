// Our own trades: does `fills` tell what the exchange's log tells? The log is read by the executor, which alone has the keys; what is
// missing is inserted here, and booked there.
import { setTimeout as sleep } from 'node:timers/promises';
import { tradesOfLog } from '../../core/trading/account_log.ts';
import { sameFill, type FillReport } from '../../core/trading/order.ts';
import type { AuditFinding } from '../../store/audits.ts';
import { transaction, type Client, type Pool } from '../../store/connect.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import { fillsById, insertHealed, loggedAccounts, loggedTrades, untoldFills, type LoggedAccount, type Window } from '../../store/trading/own_trades.ts';
import { RULES } from './audit_policy.ts';

/** An executor reads the log within seconds of the question; without one it stays as old as it is. */
const WAIT_MS = 15_000;
const LOOK_MS = 250;

export interface OwnAudit {
  pool: Pool;
  marketIds: readonly string[];
  /** since ≤ ts < until, µs: what is younger may still be on its way. */
  since: number;
  until: number;
  /** The log must have been read up to here. */
  askedAt: number;
  /** Notes findings, in the transaction that repairs them. */
  keep: (db: Pick<Client, 'query'>, findings: readonly AuditFinding[]) => Promise<void>;
  nowMicros: () => number;
  signal: AbortSignal;
}

export interface OwnCompared {
  /** Trades of the log. */
  compared: number;
  findings: AuditFinding[];
  /** What the comparison cannot tell. */
  doubts: string[];
}

/** Rejects with the database's error: then nothing of this account was repaired, or noted. */
export async function auditOwnTrades(audit: OwnAudit): Promise<OwnCompared> {
  const all: OwnCompared = { compared: 0, findings: [], doubts: [] };
  for (const account of await readAccounts(audit)) {
    const { compared, findings, doubts } = await auditAccount(audit, account);
    all.compared += compared;
    all.findings.push(...findings);
    all.doubts.push(...doubts);
  }
  return all;
}

/** Waits until the logs were read since the audit was asked for. */
async function readAccounts({ pool, marketIds, askedAt, signal }: OwnAudit): Promise<LoggedAccount[]> {
  for (let waited = 0; ; waited += LOOK_MS) {
    const accounts = await loggedAccounts(pool, marketIds);
    if (waited >= WAIT_MS || accounts.every(({ through }) => through >= askedAt)) return accounts;
    await sleep(LOOK_MS, undefined, { signal });
  }
}

async function auditAccount({ pool, since, until, askedAt, keep, nowMicros }: OwnAudit, { account, marketId, through }: LoggedAccount): Promise<OwnCompared> {
  const doubts = through >= askedAt ? [] : [`the log of account ${account} was last read at ${new Date(through / 1000).toISOString()}`];
  const window: Window = { account, marketId, since, until: Math.min(until, through) };
  if (window.since >= window.until) return { compared: 0, findings: [], doubts };
  const told = tradesOfLog(await loggedTrades(pool, window));
  const untold = await untoldFills(pool, window);
  const known = await fillsById(pool, account, told.map((one) => (one.ok ? one.trade.tradeId : one.tradeId)));
  const symbols = [...new Set([...told.map((one) => (one.ok ? one.trade.symbol : one.symbol ?? '')), ...untold.map(({ symbol }) => symbol)])];
  const ids = new Map((await findInstrumentIds(pool, symbols.map((symbol) => ({ marketId, symbol })))).map((id) => [id.symbol, id.instrumentId]));
  const place = (symbol: string | null): Place | null => {
    const instrumentId = symbol === null ? undefined : ids.get(symbol);
    if (instrumentId !== undefined && symbol !== null) return { marketId, symbol, instrumentId };
    doubts.push(`${symbol ?? 'a trade without a symbol'} of account ${account} is no instrument that is known`);
    return null;
  };
  const missing: { trade: FillReport; at: Place }[] = [];
  const findings: AuditFinding[] = [];
  for (const one of told) {
    const { tradeId, symbol, ts } = one.ok ? one.trade : one;
    const ours = known.get(tradeId);
    if (one.ok && ours !== undefined && sameFill(ours, one.trade)) continue;
    const at = place(symbol);
    if (at === null) continue;
    if (one.ok && ours === undefined) missing.push({ trade: one.trade, at });
    else {
      const detail = one.ok ? `trade ${tradeId} of account ${account} is recorded with other values` : `trade ${tradeId} of account ${account}: ${one.reason}`;
      findings.push(finding('own_trade_differs', at, ts, ours ?? null, one.ok ? one.trade : null, detail));
    }
  }
  for (const fill of untold) {
    const at = place(fill.symbol);
    if (at !== null) findings.push(finding('own_trade_unknown', at, fill.ts, fill, null, `the log of account ${account} does not tell trade ${fill.tradeId}`));
  }
  await transaction(pool, async (client) => {
    const inserted = new Set(await insertHealed(client, { account, marketId }, missing.map(({ trade }) => trade), nowMicros()));
    for (const { trade, at } of missing) {
      // Somebody was faster: nothing was missing.
      if (!inserted.has(trade.tradeId)) continue;
      findings.push(finding('own_trade_missing', at, trade.ts, null, trade, `trade ${trade.tradeId} of account ${account} was inserted`));
    }
    await keep(client, findings);
  });
  return { compared: told.length, findings, doubts };
}

type Place = Pick<AuditFinding, 'marketId' | 'symbol' | 'instrumentId'>;

function finding(
  kind: 'own_trade_missing' | 'own_trade_differs' | 'own_trade_unknown', at: Place, openTs: number, ours: FillReport | null, theirs: FillReport | null,
  detail: string,
): AuditFinding {
  return {
    ...at, kind, candle: null, openTs, fromSeq: null, toSeq: null, ours: ours === null ? null : valuesOf(ours),
    theirs: theirs === null ? null : valuesOf(theirs), resolution: RULES[kind].unknown, detail,
  };
}

const valuesOf = ({ tradeId, exchangeOrderId, side, price, amount, fee, feeCurrency }: FillReport): Record<string, string> => ({
  trade_id: tradeId, exchange_order_id: exchangeOrderId, side, price, amount, fee, fee_currency: feeCurrency,
});
