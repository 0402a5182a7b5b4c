// A trade's way as text for a terminal.
import { timeText } from '../../core/days.ts';
import type { HoldingGap, StoredTrade } from '../../store/lineage.ts';
import type { Lineage, StreamPart } from './lineage.ts';

/** Names and reasons are what others sent: nothing of them may steer the terminal. */
const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD');
const row = (name: string, text: string): string => `${name.padEnd(10)} ${text}\n`;

/** `+12.345 ms`, or in seconds from ten of them on. */
function after(micros: number): string {
  const size = Math.abs(micros) < 10_000_000 ? `${(micros / 1_000).toFixed(3)} ms` : `${(micros / 1_000_000).toFixed(1)} s`;
  return micros < 0 ? size : `+${size}`;
}

/** All of it, with a newline in the end. */
export function asText(lineage: Lineage): string {
  return lineage.trade === null ? unknownText(lineage) : storedText(lineage, lineage.trade);
}

function storedText(lineage: Lineage, trade: StoredTrade): string {
  const { stream, committed_ts: committed, healed, gaps } = lineage;
  const { exchangeTs: exchange, receivedTs: received, seq, seqLast } = trade;
  const number = seq === null ? 'no number' : seqLast === null || seqLast === seq ? `seq ${seq}` : `seq ${seq}..${seqLast}`;
  const commit = committed === null
    ? 'not recorded (track_commit_timestamp is off, or it was too long ago)'
    : `${timeText(committed)}  ${after(committed - received)} after the socket, transaction ${trade.xid}, ${trade.partition}`;
  return [
    `${lineage.market_id} ${plain(lineage.symbol)} trade ${plain(trade.tradeId)} (${number}): ${trade.side} ${trade.amount} at ${trade.price}\n`,
    row('exchange', timeText(exchange)),
    row(healed ? 'fetched' : 'socket', `${timeText(received)}  ${after(received - exchange)} after the exchange`),
    ...streamRows(stream, received),
    row('committed', commit),
    row('healed', healed ? `yes: it was missing and was fetched from the exchange's REST${gapsText(gaps)}` : `no${gapsText(gaps)}`),
  ].join('');
}

function streamRows({ id, at, repeats, deliveries, why }: StreamPart, received: number | null): string[] {
  if (id === null || at === null) return [row('stream', why ?? 'not found')];
  const again = repeats === 0 ? '' : `, and ${repeats} more of it`;
  return [
    row('stream', `${id}${received === null ? '' : `  ${after(at - received)} after the socket`}${again}`),
    ...deliveries.map(({ group, state, consumer, deliveries: times }) => row('delivered', {
      waiting: `${group}: to nobody yet`,
      pending: `${group}: in the hands of ${consumer ?? '?'}, delivered ${times ?? '?'} times`,
      acknowledged: `${group}: acknowledged (by whom, Redis forgets)`,
    }[state])),
  ];
}

const gapsText = (gaps: readonly HoldingGap[]): string => gaps.map(({ gapId, from, to, status, reason, detectedTs, closedTs }) =>
  `; gap ${gapId} (${from}..${to}: ${plain(reason)}), noticed ${timeText(detectedTs)}, ${status}${closedTs === null ? '' : ` ${timeText(closedTs)}`}`).join('');

function unknownText({ market_id: market, symbol, stream, gaps, unknown }: Lineage): string {
  const rows = [`${market} ${plain(symbol)}: no such trade is stored\n`, ...streamRows(stream, null)];
  for (const { gapId, from, to, status, reason, detectedTs } of gaps) {
    rows.push(row('gap', `${gapId}, ${from}..${to}, ${status}: ${plain(reason)}, noticed ${timeText(detectedTs)}`));
  }
  const letter = unknown?.dead_letter ?? null;
  if (letter !== null) rows.push(row('rejected', `dead letter ${letter.id}: ${plain(letter.error)}`));
  if (unknown?.coveredOn !== undefined && unknown.coveredOn.length > 0) {
    rows.push(row('was stored', `on ${unknown.coveredOn.join(', ')}: the day's partition has been dropped since (retention)`));
  } else if (unknown?.stored !== undefined) {
    rows.push(row('stored are', unknown.stored === null ? 'none of this instrument' : `${unknown.stored[0]} to ${unknown.stored[1]} of this instrument`));
  }
  return rows.join('');
}
