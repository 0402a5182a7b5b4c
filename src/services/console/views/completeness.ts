// What is stored and what is missing: by day over some weeks, by hour of one day; and the gaps behind one field of it.
import { z } from 'zod';
import { dayOfMicros, dayStartMicros, dayText } from '../../../core/days.ts';
import { readCompleteness } from '../../../store/completeness.ts';
import { countCovered, gapsBetween, readHours } from '../../../store/hours.ts';
import { view, type View } from '../hub.ts';
import type { Cell, Completeness, Gaps } from '../shown.ts';
import { dayParam, from, marketParam, symbolParam, wholeParam, type Sources } from './sources.ts';

const INSTRUMENTS = 300;
const GAPS = 200;
const DAY_MICROS = 86_400_000_000;
const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0'));

const params = z.strictObject({ by: z.enum(['day', 'hour']).default('day'), day: dayParam.optional(), days: wholeParam(1, 62, 14) });

/** `day`: the last one of the days, or the one whose hours are shown; today without it. */
export function completenessView(sources: Sources): View {
  const { pool, clock } = sources;
  const read = async ({ by, day: asked, days }: z.infer<typeof params>): Promise<Completeness> => {
    const day = asked ?? dayText(dayOfMicros(clock.nowMicros()));
    const last = dayOfMicros(Date.parse(day) * 1000);
    const columns = by === 'hour' ? HOURS : Array.from({ length: days }, (_, n) => dayText(last - days + 1 + n));
    const cells = by === 'hour' ? await hourCells(sources, day) : (await readCompleteness(pool, { marketId: null, symbol: null, from: columns[0]!, to: day }))
      .map((each) => ({ ...each, column: each.day }));
    const shown = table(columns, cells);
    return { by, day, columns, ...shown, more: by === 'hour' ? Math.max(0, (await countCovered(pool, day)) - shown.rows.length) : shown.more };
  };
  return view({ params, everyMs: 10_000, read: (asked) => from('PostgreSQL', read(asked)) });
}

type Placed = Cell & { marketId: string; symbol: string; column: string };

async function hourCells({ pool }: Sources, day: string): Promise<Placed[]> {
  const hours = await readHours(pool, day, INSTRUMENTS);
  return hours.map(({ hour, ...cell }) => ({ ...cell, column: HOURS[hour]! }));
}

function table(columns: readonly string[], cells: readonly Placed[]): Pick<Completeness, 'rows' | 'more' | 'expected' | 'missing'> {
  const rows = new Map<string, Completeness['rows'][number] & { cells: (Cell | null)[] }>();
  let [expected, missing] = [0, 0];
  for (const { marketId, symbol, column, ...cell } of cells) {
    const key = `${marketId} ${symbol}`;
    const row = rows.get(key) ?? { marketId, symbol, cells: columns.map(() => null) };
    rows.set(key, row);
    row.cells[columns.indexOf(column)] = { expected: cell.expected, missing: cell.missing, healed: cell.healed, why: cell.why };
    expected += cell.expected;
    missing += cell.missing;
  }
  // Where there is no room for all, a hole must not be what is left out.
  const isWhole = ({ cells: row }: Completeness['rows'][number]): number => (row.some((cell) => cell !== null && cell.missing > 0) ? 0 : 1);
  const all = [...rows.values()];
  const shown = new Set([...all].sort((a, b) => isWhole(a) - isWhole(b)).slice(0, INSTRUMENTS));
  return { rows: all.filter((row) => shown.has(row)), more: all.length - shown.size, expected, missing };
}

const gapParams = z.strictObject({ market: marketParam, symbol: symbolParam, day: dayParam, hour: wholeParam(0, 23, -1) });

/** Gaps of one instrument and UTC day, or one hour of it. */
export function gapsView({ pool }: Sources): View {
  const read = async ({ market, symbol, day, hour }: z.infer<typeof gapParams>): Promise<Gaps> => {
    const start = dayStartMicros(dayOfMicros(Date.parse(day) * 1000));
    const [fromTs, toTs] = hour < 0 ? [start, start + DAY_MICROS] : [start + (hour * DAY_MICROS) / 24, start + ((hour + 1) * DAY_MICROS) / 24];
    return { marketId: market, symbol, fromTs, toTs, gaps: await gapsBetween(pool, market, symbol, fromTs, toTs, GAPS) };
  };
  return view({ params: gapParams, everyMs: 5_000, read: (asked) => from('PostgreSQL', read(asked)) });
}
