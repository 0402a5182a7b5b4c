// Recorded sessions: one JSON a line, `t` (epoch seconds), `kind` connect|send|recv|http, `url?`, `data` (exact text).
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError, toError } from '../core/errors.ts';

export interface Recording {
  readonly file: string;
  /** Address the session was made with. */
  readonly url: string;
  readonly answers: readonly { url: string; data: string }[];
  /** Received frames, ms after the session began. */
  readonly frames: readonly { atMs: number; text: string }[];
}

/** All *.jsonl of a folder, by name. Throws UsageError, naming folder, file or line, when one cannot be read. */
export function readRecordings(folder: string): Recording[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.jsonl')).sort();
  } catch (error) {
    throw new UsageError(`SIM_REPLAY: cannot read the folder ${folder}: ${toError(error).message}`);
  }
  if (names.length === 0) throw new UsageError(`SIM_REPLAY: ${folder} holds no recording (*.jsonl)`);
  return names.map((name) => readRecording(join(folder, name)));
}

function parseLine(line: string, where: string): { t: number; kind: string; url?: string; data?: string } {
  try {
    return JSON.parse(line) as { t: number; kind: string; url?: string; data?: string };
  } catch (error) {
    throw new UsageError(`SIM_REPLAY: ${where} is no JSON: ${toError(error).message}`);
  }
}

function readRecording(file: string): Recording {
  let url = '';
  let start: number | null = null;
  const answers: { url: string; data: string }[] = [];
  const frames: { atMs: number; text: string }[] = [];
  for (const [n, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    const entry = parseLine(line, `${file}, line ${n + 1},`);
    start ??= entry.t;
    if (entry.kind === 'connect') url = entry.url ?? '';
    if (entry.kind === 'http') answers.push({ url: entry.url ?? '', data: entry.data ?? '' });
    if (entry.kind === 'recv') frames.push({ atMs: (entry.t - start) * 1000, text: entry.data ?? '' });
  }
  return { file, url, answers, frames };
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
