// data_gaps: what is known to be missing.
import type { FeedStatus } from '../contracts/index.ts';
import type { Client } from './connect.ts';
import { columnArrays, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

export interface GapRow {
  readonly instrumentId: number;
  /** A feed_status of status `gap`. */
  readonly message: FeedStatus;
}

const TYPES: ColumnTypes = {
  instrument_id: 'int4', from_seq: 'int8', to_seq: 'int8', from_ts: 'micros', to_ts: 'micros', reason: 'text',
  detected_at: 'micros', expected: 'int8',
};
const INSERT = {
  name: 'insert_gaps',
  text: unnestInsert('data_gaps', TYPES, 'u.instrument_id, u.from_seq, u.from_ts', 'ON CONFLICT ON CONSTRAINT data_gaps_key DO NOTHING'),
};

/** Without sequence numbers the hole lies between the last time the exchange told and our noticing. */
function cell({ instrumentId, message }: GapRow, column: string): Cell {
  const { from_seq: from, to_seq: to } = message;
  const bySeq = from !== undefined && to !== undefined;
  switch (column) {
    case 'instrument_id':
      return instrumentId;
    case 'from_seq':
      return bySeq ? from : null;
    case 'to_seq':
      return bySeq ? to : null;
    case 'from_ts':
      return bySeq ? null : Math.min(message.exchange_ts, message.received_ts);
    case 'to_ts':
      return bySeq ? null : message.received_ts;
    case 'detected_at':
      return message.received_ts;
    case 'expected':
      return bySeq ? to - from + 1 : null;
    default:
      return message.reason;
  }
}

/** Stores gaps as open; the same gap told again is the same row, whatever became of it. Returns how many are new. */
export async function insertGaps(client: Client, rows: readonly GapRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { rowCount } = await client.query({ ...INSERT, values: columnArrays(TYPES, rows, cell) });
  return rowCount ?? 0;
}
