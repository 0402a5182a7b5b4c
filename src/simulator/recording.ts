// Recorded sessions: one JSON a line, `t` (epoch seconds), `kind` connect|send|recv|http, `url?`, `data` (exact text); plain, gzip or
// zstd. The files of a receiver's capture (`.frames.zst`, docs/capture.md) are pieces of one session per market.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseCaptured } from '../core/captured.ts';
import { UsageError, toError } from '../core/errors.ts';
import { textsOf } from './packed.ts';

export interface Recording {
  readonly file: string;
  /** Address the session was made with. */
  readonly url: string;
  /** The market that a capture names; null: the address tells. */
  readonly marketId: string | null;
  readonly answers: readonly { url: string; data: string }[];
  /** Received frames, ms after the session began. */
  readonly frames: readonly { atMs: number; text: string }[];
}

interface Read extends Recording {
  /** When the session began, epoch ms. */
  readonly startMs: number;
}

const NAME = /\.(jsonl|frames)(\.gz|\.zst)?$/;
const CAPTURED = /\.frames(\.\w+)?$/;

/** All recordings of a folder, by name. Throws UsageError, naming folder, file or line, when one cannot be read. */
export function readRecordings(folder: string): Recording[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => NAME.test(name)).sort();
  } catch (error) {
    throw new UsageError(`SIM_REPLAY: cannot read the folder ${folder}: ${toError(error).message}`);
  }
  if (names.length === 0) throw new UsageError(`SIM_REPLAY: ${folder} holds no recording (*.jsonl or *.frames, plain, .gz or .zst)`);
  const read = names.map((name) => readRecording(join(folder, name)));
  const captured = Map.groupBy(read.filter(({ marketId }) => marketId !== null), ({ marketId }) => marketId);
  return [...read.filter(({ marketId }) => marketId === null), ...[...captured.values()].map(joined)];
}

/** The pieces of a capture on one timeline, whatever connections and runs they are of. */
function joined(pieces: readonly Read[]): Recording {
  const [first, ...others] = pieces;
  if (first === undefined || others.length === 0) return first as Recording;
  const startMs = pieces.reduce((least, piece) => Math.min(least, piece.startMs), Infinity);
  const frames = pieces.flatMap((piece) => piece.frames.map(({ atMs, text }) => ({ atMs: piece.startMs - startMs + atMs, text })));
  const file = `${first.file} and ${others.length} more`;
  return { ...first, file, answers: pieces.flatMap(({ answers }) => answers), frames: frames.sort((a, b) => a.atMs - b.atMs) };
}

interface Entry {
  t: number;
  kind: string;
  url?: string;
  market_id?: string;
  data?: string;
}

function parseJson(line: string, where: string): Entry {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch (error) {
    throw new UsageError(`SIM_REPLAY: ${where} is no JSON: ${toError(error).message}`);
  }
  if (typeof entry !== 'object' || entry === null) throw new UsageError(`SIM_REPLAY: ${where} is no object: ${line.slice(0, 80)}`);
  return entry as Entry;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parseFrames(line: string, where: string): Entry {
  const captured = parseCaptured(line);
  if (captured === null) throw new UsageError(`SIM_REPLAY: ${where} is no line of a capture: time, connection, kind, text`);
  const { t, kind, data } = captured;
  return kind === 'connect' ? { t, kind, ...(parseJson(data, where) as Pick<Entry, 'url' | 'market_id'>) } : { t, kind, data };
}

function readRecording(file: string): Read {
  let url = '';
  let marketId: string | null = null;
  let startMs: number | null = null;
  const answers: { url: string; data: string }[] = [];
  const frames: { atMs: number; text: string }[] = [];
  const parse = CAPTURED.test(file) ? parseFrames : parseJson;
  for (const { line, where } of linesOf(file)) {
    const entry = parse(line, where);
    startMs ??= entry.t * 1000;
    if (entry.kind === 'connect') [url, marketId] = [entry.url ?? '', entry.market_id ?? null];
    if (entry.kind === 'http') answers.push({ url: entry.url ?? '', data: entry.data ?? '' });
    if (entry.kind === 'recv') frames.push({ atMs: entry.t * 1000 - startMs, text: entry.data ?? '' });
  }
  return { file, url, marketId, answers, frames, startMs: startMs ?? 0 };
}

/** Its whole lines: the last one of a file that was cut has no end and is left out, unless it is JSON that happens to be complete. */
function* linesOf(file: string): Generator<{ line: string; where: string }, void, undefined> {
  let rest = '';
  let n = 0;
  const at = (): string => `${file}, line ${n},`;
  try {
    for (const text of textsOf(file, readFileSync(file))) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        n++;
        if (line.trim() !== '') yield { line, where: at() };
      }
    }
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(`SIM_REPLAY: cannot read ${file}: ${toError(error).message}`);
  }
  n++;
  if (!CAPTURED.test(file) && isJson(rest)) yield { line: rest, where: at() };
}

/** One frame under the name of its stream. */
export interface StreamFrame {
  atMs: number;
  stream: string;
  data: string;
}

/** The value of a frame's last member `data`, with `closing` braces of the envelope behind it; its own text if it is valid. */
export function dataOf(text: string, closing: number): string | null {
  const at = text.indexOf('"data":');
  if (at < 0) return null;
  const data = text.slice(at + 7, text.length - closing).trim();
  try {
    JSON.parse(data);
    return data;
  } catch {
    return null;
  }
}
