// The exchange's own log of the account as the fleet's books need it (pure): which of its rows are trades, deliveries and funding, and
// what an account is worth by log and fills together.
import { Exact, ZERO, plain } from './exact.ts';
import type { FillReport } from './order.ts';
import { unrealised, type ContractTerms, type Position } from './position.ts';

/** One row of the log. Decimals are plain text, times µs since the epoch. */
export interface AccountLogRow {
  logId: string;
  ts: number;
  currency: string;
  type: string;
  symbol: string | null;
  tradeId: string | null;
  /** Of the balance, fees taken off. */
  change: string;
  balance: string | null;
  commission: string | null;
  exchangeOrderId: string | null;
  /** Ours. Of a delivery: what closes the position. */
  side: 'buy' | 'sell' | null;
  /** Of a delivery of options: what each was worth, in the settlement currency. */
  price: string | null;
  amount: string | null;
  liquidity: 'maker' | 'taker' | null;
  /** Funding of the session that this row settles, received above zero; null: it settles none. */
  funding: string | null;
  raw: unknown;
}

/** What of a row makes a trade. */
export type LoggedTrade = Pick<
  AccountLogRow, 'tradeId' | 'ts' | 'currency' | 'symbol' | 'exchangeOrderId' | 'side' | 'price' | 'amount' | 'liquidity' | 'commission'>;

/** A trade of the log, or why its rows make none. */
export type TradeOfLog = { ok: true; trade: FillReport } | { ok: false; tradeId: string; symbol: string | null; ts: number; reason: string };

/**
 * The trades of some rows, ascending. A trade that crosses zero has two rows, what it closes and what it opens: they are added up. One
 * of a spot pair has a row per currency, which tell the same amount: the one with the fee counts.
 */
export function tradesOfLog(rows: readonly LoggedTrade[]): TradeOfLog[] {
  const byTrade = Map.groupBy(rows.filter((row) => row.tradeId !== null), (row) => row.tradeId!);
  return [...byTrade].map(([tradeId, all]) => tradeOf(tradeId, all)).sort((a, b) => tsOf(a) - tsOf(b));
}

const tsOf = (told: TradeOfLog): number => (told.ok ? told.trade.ts : told.ts);
const total = (texts: (string | null)[]): Exact => texts.reduce((sum, text) => sum.plus(text ?? '0'), ZERO);

function tradeOf(tradeId: string, all: readonly LoggedTrade[]): TradeOfLog {
  const currency = (all.find((row) => !total([row.commission]).isZero()) ?? all[0]!).currency;
  const rows = all.filter((row) => row.currency === currency);
  const { ts, symbol, side, price, exchangeOrderId, liquidity } = rows[0]!;
  const fails = (reason: string): TradeOfLog => ({ ok: false, tradeId, symbol, ts, reason });
  if (symbol === null || side === null || price === null || exchangeOrderId === null) return fails('its rows do not say what was traded');
  if (rows.some((row) => row.side !== side || row.symbol !== symbol || row.price !== price || row.exchangeOrderId !== exchangeOrderId)) {
    return fails('its rows contradict each other');
  }
  const amount = total(rows.map((row) => row.amount));
  if (!amount.isPositive() || amount.isZero()) return fails('its rows tell no amount');
  return {
    ok: true,
    trade: {
      tradeId, exchangeOrderId, label: '', symbol, seq: null, ts, side, price, amount: plain(amount), liquidity: liquidity ?? 'taker',
      fee: plain(total(rows.map((row) => row.commission))), feeCurrency: currency, kind: 'trade',
    },
  };
}

/** Expired contracts were settled for good, without a trade of ours: fills that close their positions. */
export function deliveriesOfLog(rows: readonly AccountLogRow[]): FillReport[] {
  return rows.flatMap((row): FillReport[] => {
    const { type, symbol, side, price, amount, ts, currency, commission } = row;
    if (type !== 'delivery' || symbol === null || side === null || price === null || amount === null || new Exact(amount).isZero()) return [];
    const id = `delivery:${currency}:${row.logId}`;
    return [{
      tradeId: id, exchangeOrderId: id, label: '', symbol, seq: null, ts, side, price, amount, liquidity: 'taker', fee: commission ?? '0',
      feeCurrency: currency, kind: 'delivery',
    }];
  });
}

/** Rows of these types are told by fills and funding already, unless they are of a spot pair: there money changes for money. */
export const TRADING_TYPES: readonly string[] = ['trade', 'liquidation', 'settlement', 'delivery'];

/**
 * What an account is worth in one currency: `outside` (deposits, transfers, spot trades, corrections: the log) and what trading has
 * made of it (fills and funding), open amounts at their marks.
 */
export function equityOf(outside: Exact, held: readonly { position: Position; mark: Exact; terms: ContractTerms }[]): Exact {
  return held.reduce((sum, { position, mark, terms }) =>
    sum.plus(position.realised).minus(position.fees).plus(position.funding).plus(unrealised(position, mark, terms)), outside);
}
