// The invariants of a run (after healing and draining), each checked against the simulator's ledger with a verdict and figures.
import type { Pool } from '../../store/connect.ts';
import { canonicalDecimal, owedTrades, readLedger, type LedgerSymbol, type LedgerTrade } from './ledger.ts';

/** Numbers of the invariants that the checks prove; a check without one is of live runs only. AGENTS.md says what each means. */
const NUMBERS: Readonly<Record<string, number>> = {
  no_loss: 1, exactly_once: 2, nothing_invented: 2, values_equal: 3, gaps_closed: 4, published: 5, drained: 5, queues: 5, dead_letters: 6,
  state_machine: 12, subscriptions: 14, liveness: 16, bounded: 17, secrets: 18, rights: 18, schema: 20, replay: 21, determinism: 22,
};

export interface Verdict {
  number: number | null;
  name: string;
  ok: boolean;
  /** One line for people. */
  detail: string;
  figures: Record<string, number>;
  /** The first offenders, when there are any. */
  examples: string[];
}

interface StoredTrade {
  trade_id: string;
  seq: string | null;
  price: string;
  amount: string;
  side: string;
  ts_us: string;
}

interface Gap {
  from: number;
  to: number;
  /** A closed gap claims that everything of it is stored: it excuses nothing. */
  closed: boolean;
}

const EXAMPLES = 5;

interface Tally {
  owed: number;
  stored: number;
  inGaps: number;
  lost: string[];
  different: string[];
  invented: string[];
  twice: string[];
}

/** Compares every trade of the ledger with what is in the tables. */
export async function checkTrades(pool: Pool, ledgerFile: string): Promise<Verdict[]> {
  const ledger = await readLedger(ledgerFile);
  const tally: Tally = { owed: 0, stored: 0, inGaps: 0, lost: [], different: [], invented: [], twice: [] };
  const { rows: instruments } = await pool.query<{ instrument_id: number; market_id: string; symbol: string }>(
    'SELECT instrument_id, market_id, symbol FROM instruments WHERE instrument_id IN (SELECT DISTINCT instrument_id FROM public_trades)');
  const ids = new Map(instruments.map((row) => [`${row.market_id} ${row.symbol}`, row.instrument_id]));
  for (const key of new Set([...ledger.keys(), ...ids.keys()])) {
    const id = ids.get(key);
    const stored = id === undefined ? [] : await storedTrades(pool, id);
    compare(key, ledger.get(key), stored, await gapsOf(pool, key), tally);
  }
  const { owed, stored, inGaps, lost, different, invented, twice } = tally;
  // Where nothing was owed nothing was tried: such a run proves nothing.
  const missed = owed === 0 ? ['no trade was owed'] : lost;
  return [
    verdict('no_loss', missed, `${owed} trades owed, ${owed - inGaps - lost.length} stored, ${inGaps} inside reported gaps, ${lost.length} lost`,
      { owed, stored: owed - inGaps - lost.length, in_gaps: inGaps, lost: lost.length }),
    verdict('exactly_once', twice, `${stored} rows, ${twice.length} trades stored twice`, { rows: stored, twice: twice.length }),
    verdict('values_equal', different, `${different.length} of ${stored} rows differ from the ledger`, { different: different.length }),
    verdict('nothing_invented', invented, `${invented.length} rows that the ledger does not know`, { invented: invented.length }),
  ];
}

async function storedTrades(pool: Pool, instrumentId: number): Promise<StoredTrade[]> {
  const { rows } = await pool.query<StoredTrade>(
    `SELECT trade_id, seq, price::text, amount::text, side, (extract(epoch FROM ts) * 1000000)::int8 AS ts_us
     FROM public_trades WHERE instrument_id = $1`, [instrumentId]);
  return rows;
}

async function gapsOf(pool: Pool, key: string): Promise<Gap[]> {
  const [marketId, symbol] = key.split(' ');
  const { rows } = await pool.query<{ from_seq: string; to_seq: string; closed: boolean }>(
    `SELECT from_seq, to_seq, g.status = 'closed' AS closed FROM data_gaps g JOIN instruments i USING (instrument_id)
     WHERE i.market_id = $1 AND i.symbol = $2 AND from_seq IS NOT NULL`, [marketId, symbol]);
  return rows.map((row) => ({ from: Number(row.from_seq), to: Number(row.to_seq), closed: row.closed }));
}

function compare(key: string, truth: LedgerSymbol | undefined, stored: readonly StoredTrade[], gaps: readonly Gap[], tally: Tally): void {
  const seen = new Set<string>();
  for (const row of stored) {
    tally.stored++;
    const name = `${key} ${row.trade_id}`;
    const trade = truth?.trades.get(row.trade_id);
    if (seen.has(row.trade_id)) tally.twice.push(name);
    seen.add(row.trade_id);
    if (trade === undefined) tally.invented.push(name);
    else {
      const difference = differs(trade, row);
      if (difference !== null) tally.different.push(`${name}: ${difference}`);
    }
  }
  const begin = [...stored.map((row) => Number(row.seq ?? -1)), ...gaps.map((gap) => gap.from)].reduce((least, seq) => Math.min(least, seq), Infinity);
  for (const trade of truth === undefined ? [] : owedTrades(truth, begin === Infinity ? -Infinity : begin)) {
    tally.owed++;
    if (seen.has(trade.id)) continue;
    if (gaps.some((gap) => !gap.closed && gap.from <= trade.seq && trade.seqLast <= gap.to)) tally.inGaps++;
    else tally.lost.push(`${key} ${trade.id} (seq ${trade.seq}${trade.sent ? '' : ', withheld'})`);
  }
}

function differs(trade: LedgerTrade, row: StoredTrade): string | null {
  const pairs: [string, string, string][] = [
    ['price', canonicalDecimal(trade.price), canonicalDecimal(row.price)],
    ['amount', canonicalDecimal(trade.amount), canonicalDecimal(row.amount)],
    ['side', trade.side, row.side],
    ['time', wireTime(trade.tsMicros, row.ts_us), row.ts_us],
    ['seq', String(trade.seq), row.seq ?? 'null'],
  ];
  const wrong = pairs.find(([, truth, found]) => truth !== found);
  return wrong === undefined ? null : `${wrong[0]} ${wrong[2]}, the ledger says ${wrong[1]}`;
}

/** Venues that write milliseconds cut the truth's microseconds; a stored time that is not whole milliseconds must match exactly. */
function wireTime(truth: number, stored: string): string {
  return stored.endsWith('000') ? String(truth - (truth % 1000)) : String(truth);
}

/** A verdict that holds when there is no offender. */
export function verdict(name: string, offenders: readonly string[], detail: string, figures: Record<string, number> = {}): Verdict {
  return { number: NUMBERS[name] ?? null, name, ok: offenders.length === 0, detail, figures, examples: offenders.slice(0, EXAMPLES) };
}
