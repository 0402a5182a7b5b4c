// The report as text for a terminal.
import { table } from '../bench/measure.ts';
import type { CandleReport, MissingRun, Report } from './report.ts';

const count = (n: number): string => n.toLocaleString('en-US');
/** Reasons and symbols are what others sent: nothing of them may steer the terminal. */
const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD');
const REASON_WIDTH = 100;

/** All of it, with a newline in the end. */
export function asText(report: Report): string {
  const { rows, missing, nothing_stored: silent, dropped, totals, candles } = report;
  const parts: string[] = [];
  if (rows.length > 0) {
    parts.push(table(rows.map((row) => ({
      market: row.market_id, symbol: plain(row.symbol), day: row.day, 'first seq': String(row.first_seq), 'last seq': String(row.last_seq),
      expected: count(row.expected), stored: count(row.stored), healed: count(row.healed), missing: count(row.missing),
    }))));
  }
  const timed = missing.filter((run) => run.count === null).length;
  parts.push(`${report.from}..${report.to}, ${plural(totals.instruments, 'instrument')}: ${count(totals.expected)} expected, ${count(totals.stored)} stored, `
    + `${count(totals.healed)} healed, ${count(totals.missing)} missing${timed === 0 ? '' : `, and ${plural(timed, 'gap')} without numbers`}\n`);
  for (const day of dropped) parts.push(`${day}: its trades were stored, and dropped by retention since\n`);
  if (missing.length > 0) {
    parts.push(`\n${table(missing.map((run) => ({
      missing: runText(run), count: run.count === null ? '?' : count(run.count), status: run.status,
      market: run.market_id, symbol: plain(run.symbol), day: run.day, reason: shorten(plain(run.reason)),
    })))}`);
  }
  if (silent.length > 0) parts.push('\n');
  for (const one of silent) {
    const told = missing.some((run) => run.market_id === one.market_id && run.symbol === one.symbol);
    parts.push(`${one.market_id} ${plain(one.symbol)}: nothing stored${told ? ', but gaps tell of trades' : ''}\n`);
  }
  if (candles !== null) parts.push(`\n${candleText(candles)}`);
  return parts.join('');
}

const runText = ({ from_seq: from, to_seq: to, from_ts: fromTs, to_ts: toTs }: MissingRun): string =>
  from === null || to === null ? `${fromTs ?? '?'}..${toTs ?? '?'}` : `${from}..${to}`;
const shorten = (text: string): string => (text.length > REASON_WIDTH ? `${text.slice(0, REASON_WIDTH - 1)}…` : text);
const plural = (n: number, what: string): string => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

function candleText({ resolution, compared, unpriced, volume_not_compared: units, differences }: CandleReport): string {
  const parts = [`${plural(compared, `final ${resolution} candle`)} compared with the stored trades: `,
    differences.length === 0 ? 'no difference\n' : `${plural(differences.length, 'difference')}\n`];
  if (unpriced > 0) parts.push(`prices of ${plural(unpriced, 'candle')} not compared: block or combo trades are among theirs\n`);
  for (const { market_id: market, symbol, amount_unit: unit, base } of units) {
    parts.push(`${market} ${plain(symbol)}: volume not compared, amounts are in ${unit ?? '?'} and candles in ${base ?? '?'}\n`);
  }
  if (differences.length > 0) {
    parts.push(`\n${table(differences.map(({ market_id: market, symbol, open_ts: opened, field, stored, rebuilt }) =>
      ({ market, symbol: plain(symbol), opened, field, stored, rebuilt })))}`);
  }
  return parts.join('');
}
