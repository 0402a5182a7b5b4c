// What a backtest says: figures, a table for the terminal, fills as CSV. It holds nothing of the machine that it ran on, so that equal
// input gives equal bytes.
import { createHash } from 'node:crypto';
import { Exact, ZERO, plain } from '../../core/trading/exact.ts';
import { unrealised } from '../../core/trading/position.ts';
import type { FillRecord } from '../../core/trading/records.ts';
import { dayOfMicros } from '../../core/days.ts';
import { sharpe } from './equity.ts';
import type { BacktestOptions } from './options.ts';
import type { Replay } from './replay.ts';
import { decOf } from './market.ts';
import { text } from './venue.ts';
import type { Setup } from './setup.ts';

export interface Report {
  strategy: string;
  market: string;
  symbol: string;
  params: unknown;
  from: string;
  until: string;
  /** Rows that were replayed. */
  rows: Record<string, number>;
  assumptions: Record<string, string | number>;
  /** Decimals are text in `currency`; percents and ratios are numbers. */
  currency: string;
  deposit: string;
  equity: string;
  return_percent: number;
  realised: string;
  unrealised: string;
  fees: string;
  /** null: no quotes were replayed, so nothing is known of it. */
  funding: string | null;
  position: string;
  max_drawdown_percent: number;
  max_drawdown_from: string;
  max_drawdown_to: string;
  /** Annualised, of daily returns; null: too few days or none that moved. */
  sharpe: number | null;
  /** Value of all fills over the deposit. */
  turnover: number;
  orders: Record<string, number>;
  fills: number;
  intents: { count: number; sha256: string };
  fills_sha256: string;
  refusals: Record<string, number>;
  locked: string | null;
  /** What the executor's books and the exchange's say of the end, compared by the executor's own reconciliation. */
  books: { cases: number; exchange_equity: string; equal: boolean };
  /** [time, worth], at most about a thousand. */
  curve: [string, number][];
}

const iso = (micros: number): string => new Date(micros / 1000).toISOString();
const percent = (fraction: number): number => Number((fraction * 100).toFixed(6));
/** The exchange books fees and each session's profit in whole 1e-8. */
const BOOKED = new Exact('1e-8');

/** Asks the exchange once more (reconciliation) and sums everything up. */
export async function reportOf(options: BacktestOptions, { terms, contract, deposit }: Setup, replay: Replay, rows: Record<string, number>): Promise<Report> {
  const { session, curve } = replay;
  await session.reconcile();
  const record = await session.position();
  const held = { amount: new Exact(record?.amount ?? 0), cost: new Exact(record?.cost ?? 0), realised: ZERO, fees: ZERO, funding: ZERO };
  const mark = Number.isNaN(session.market.markPrice) ? ZERO : new Exact(text(decOf(session.market.markPrice)));
  const open = unrealised(held, mark, { reciprocal: terms.reciprocal });
  const withoutFunding = new Exact(deposit).plus(record?.realised ?? 0).minus(record?.fees ?? 0).plus(open);
  const equity = withoutFunding.plus(new Exact(curve.funding.toFixed(12)));
  const theirs = Number.isNaN(session.market.markPrice) ? deposit : text(session.engine.summary(contract.currency).equity);
  const days = dayOfMicros(options.until) - dayOfMicros(options.from) + 2;
  const roundings = BOOKED.times(2 * session.fills.length + days);
  const { entry, data } = options;
  const cases = session.store.cases.length;
  const states: Record<string, number> = {};
  for (const { state } of session.store.orders) states[state] = (states[state] ?? 0) + 1;
  return {
    strategy: entry.name, market: entry.marketId, symbol: entry.symbol, params: entry.params, from: iso(options.from), until: iso(options.until), rows,
    assumptions: {
      data: data.join(','), resolution: entry.resolution, slippage_ticks: options.slippageTicks, maker_fee: text(contract.maker),
      taker_fee: text(contract.taker),
    },
    currency: contract.currency, deposit, equity: short(equity), return_percent: percent(equity.div(deposit).minus(1).toNumber()),
    realised: short(new Exact(record?.realised ?? 0)), unrealised: short(open), fees: short(new Exact(record?.fees ?? 0)),
    funding: data.includes('tickers') ? short(new Exact(curve.funding.toFixed(12))) : null, position: plain(held.amount),
    max_drawdown_percent: percent(curve.drawdown.fraction), max_drawdown_from: iso(curve.drawdown.peakTs), max_drawdown_to: iso(curve.drawdown.bottomTs),
    sharpe: rounded(sharpe(Number(deposit), curve.days)), turnover: Number(turnoverOf(session.fills, terms.reciprocal).div(deposit).toFixed(6)),
    orders: states,
    fills: session.fills.length, intents: { count: replay.intents, sha256: replay.digest() },
    fills_sha256: createHash('sha256').update(fillsCsv(session.fills)).digest('hex'), refusals: Object.fromEntries([...session.refusals].sort()),
    locked: session.locked,
    books: { cases, exchange_equity: theirs, equal: cases === 0 && withoutFunding.minus(theirs).abs().lte(roundings) },
    curve: curve.points.map(([ts, worth]) => [iso(ts), Number(worth.toFixed(8))]),
  };
}

/** Twelve decimals: what a quotient leaves beyond them is nobody's money. */
const short = (value: Exact): string => plain(value.toDecimalPlaces(12));
const rounded = (value: number | null): number | null => (value === null ? null : Number(value.toFixed(4)));

function turnoverOf(fills: readonly FillRecord[], reciprocal: boolean): Exact {
  return fills.reduce((sum, { amount, price }) => sum.plus(reciprocal ? new Exact(amount).div(price) : new Exact(amount).times(price)), ZERO);
}

export function fillsCsv(fills: readonly FillRecord[]): string {
  const lines = fills.map((fill) =>
    [iso(fill.ts), fill.label, fill.side, fill.price, fill.amount, fill.liquidity, fill.fee, fill.feeCurrency].join(','));
  return ['time,label,side,price,amount,liquidity,fee,fee_currency', ...lines, ''].join('\n');
}

/** Two columns for the terminal. */
export function reportTable(report: Report): string {
  const counts = (of: Record<string, number>): string => Object.entries(of).map(([name, n]) => `${n.toLocaleString('en-US')} ${name}`).join(', ') || 'none';
  const rows: [string, string][] = [
    ['strategy', `${report.strategy} ${JSON.stringify(report.params)}`],
    ['on', `${report.market} ${report.symbol}, ${report.from} … ${report.until}`],
    ['rows', counts(report.rows)],
    ['equity', `${report.equity} ${report.currency} of ${report.deposit} (${report.return_percent.toFixed(2)} %)`],
    ['realised', `${report.realised} ${report.currency}`],
    ['unrealised', `${report.unrealised} ${report.currency}, position ${report.position}`],
    ['fees', `${report.fees} ${report.currency}`],
    ['funding', report.funding === null ? 'not known: no quotes were replayed' : `${report.funding} ${report.currency}`],
    ['max drawdown', `${report.max_drawdown_percent.toFixed(2)} %, ${report.max_drawdown_from} … ${report.max_drawdown_to}`],
    ['Sharpe', report.sharpe === null ? 'too few days' : report.sharpe.toFixed(2)],
    ['turnover', `${report.turnover.toFixed(2)} × deposit`],
    ['orders', counts(report.orders)],
    ['fills', report.fills.toLocaleString('en-US')],
    ['refused', counts(report.refusals)],
    ['intents', `${report.intents.count.toLocaleString('en-US')}, sha256 ${report.intents.sha256}`],
    ['books', report.books.equal ? 'equal to the exchange\'s' : `DIFFER: the exchange says ${report.books.exchange_equity}, ${report.books.cases} cases`],
    ...(report.locked === null ? [] : [['LOCKED', report.locked] as [string, string]]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}
