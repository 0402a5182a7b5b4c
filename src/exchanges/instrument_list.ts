// An exchange's list of instruments, entry by entry: one that is not as documented costs itself, never the whole list.
import { z } from 'zod';
import { explain, show } from '../contracts/index.ts';
import type { JsonObject } from '../core/json.ts';
import type { Instrument, SkippedInstrument } from './exchange.ts';
import { symbolPattern } from './payload.ts';

export interface InstrumentList {
  instruments: Instrument[];
  skipped: SkippedInstrument[];
}

/** How a venue describes one instrument: the schema of an entry, the field that names it, and what becomes of it. */
export interface EntryReader<W> {
  wire: z.ZodType<W>;
  nameField: string;
  toInstrument: (wire: W, raw: JsonObject) => Instrument;
}

/** The schema of a list. Entries that are not as documented are put aside; an error only when not a single one is. */
export function instrumentListSchema<W>(reader: EntryReader<W>) {
  return z.array(z.custom<JsonObject>()).transform((entries, context): InstrumentList => {
    const instruments = new Map<string, Instrument>();
    const skipped: SkippedInstrument[] = [];
    for (const [at, raw] of entries.entries()) {
      const found = readEntry(reader, raw, instruments);
      if (typeof found === 'object') instruments.set(found.symbol, found);
      else skipped.push(skippedEntry(reader.nameField, raw, at, found));
    }
    if (instruments.size > 0 || entries.length === 0) return { instruments: [...instruments.values()], skipped };
    context.addIssue({ code: 'custom', message: `none of ${entries.length} instruments is as documented; the first one: ${skipped[0]!.reason}` });
    return z.NEVER;
  });
}

/** The instrument, or in one line what is wrong with its entry. */
function readEntry<W>({ wire, nameField, toInstrument }: EntryReader<W>, raw: JsonObject, before: ReadonlyMap<string, unknown>): Instrument | string {
  const parsed = wire.safeParse(raw);
  if (!parsed.success) return explain(parsed.error, raw);
  const instrument = toInstrument(parsed.data, raw);
  const { symbol } = instrument;
  if (!symbolPattern.test(symbol) || !symbol.isWellFormed()) return `${nameField}: no symbol that the contracts allow, got ${show(symbol)}`;
  return before.has(symbol) ? `${nameField}: listed twice, got ${show(symbol)}` : instrument;
}

function skippedEntry(nameField: string, raw: unknown, at: number, why: string): SkippedInstrument {
  const name = (raw as Record<string, unknown> | null | undefined)?.[nameField];
  return typeof name === 'string' && name !== '' ? { symbol: name, reason: why } : { symbol: null, reason: `entry ${at}: ${why}` };
}
