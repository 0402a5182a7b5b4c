// Payload text → message, or the reason why it is none. Never throws, whatever the text.
import type { StreamEntry } from '../../bus/consumer.ts';
import type { DlqErrorClass } from '../../bus/dlq.ts';
import { parseStreamMessage, show, type StreamMessage } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import { canonicalTicker } from './canonical.ts';

export interface Refusal {
  readonly error: string;
  readonly errorClass: DlqErrorClass;
}

export type Decoded = { ok: true; message: StreamMessage } | ({ ok: false } & Refusal);

/** Longest run of trades one aggregate may stand for: a wild seq_last would claim numbers as stored that never came. */
export const MAX_RUN = 1_000_000;
/** `decode` of an entry's bytes. Bytes that are no UTF-8 would be stored as another name. */
export function decodeEntry(entry: Pick<StreamEntry, 'payload' | 'isText'>): Decoded {
  const { payload } = entry;
  // Only a payload with U+FFFD in it can have had such bytes: no other one is walked twice.
  if (payload?.includes('\ufffd') === true && !entry.isText) return refused('not_json', `not JSON: not UTF-8: ${oneLine(payload)}`);
  return decode(payload);
}

/** Checks an entry's payload against the contract and against what a schema cannot say. */
function decode(payload: string | null): Decoded {
  if (payload === null) return refused('schema', 'payload: the entry has no such field');
  const ticker = canonicalTicker(payload);
  return ticker === null ? decodeByReference(payload) : inRange(ticker);
}

/** JSON.parse and the generated schema: what `decode` must always agree with. */
export function decodeByReference(payload: string): Decoded {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch (error) {
    return refused('not_json', `not JSON: ${oneLine(toError(error).message)}`);
  }
  const parsed = parseStreamMessage(value);
  return parsed.ok ? inRange(parsed.value) : refused('schema', parsed.error);
}

function inRange(message: StreamMessage): Decoded {
  if (message.type === 'trade') {
    const { seq, seq_last: last } = message;
    if (last !== undefined && seq === null) return refused('range', `seq_last: ${last} without a seq`);
    if (last !== undefined && seq !== null && (last < seq || last - seq >= MAX_RUN)) {
      return refused('range', `seq_last: must be from seq to seq + ${MAX_RUN - 1}, got ${last} for seq ${seq}`);
    }
  } else if (message.type === 'feed_status' && message.status === 'gap') {
    const { from_seq: from, to_seq: to } = message;
    if (message.symbol === null) return refused('range', 'symbol: a gap must name one, got null');
    if ((from === undefined) !== (to === undefined)) return refused('range', 'from_seq, to_seq: both or none');
    if (from !== undefined && to !== undefined && to < from) return refused('range', `to_seq: must not be below from_seq ${from}, got ${to}`);
  }
  // A half surrogate has no UTF-8 form: it would be stored as another name.
  if (message.symbol?.isWellFormed() === false) return refused('schema', `symbol: not well-formed text, got ${show(message.symbol)}`);
  return { ok: true, message };
}

const refused = (errorClass: DlqErrorClass, error: string): Decoded => ({ ok: false, errorClass, error });

function oneLine(text: string): string {
  const line = text.replace(/[\x00-\x1f\x7f]+/g, ' ');
  return line.length > 200 ? `${line.slice(0, 197)}...` : line;
}
