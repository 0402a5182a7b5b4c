// Recorded sessions: one JSON a line, `t` (epoch seconds), `kind` connect|send|recv|http, `url?`, `data` (exact text).
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Recording {
  readonly file: string;
  /** Address the session was made with. */
  readonly url: string;
  readonly answers: readonly { url: string; data: string }[];
  /** Received frames, ms after the session began. */
  readonly frames: readonly { atMs: number; text: string }[];
}

/** All *.jsonl of a folder, by name. Throws when the folder cannot be read or a line is no JSON. */
export function readRecordings(folder: string): Recording[] {
  return readdirSync(folder).filter((name) => name.endsWith('.jsonl')).sort().map((name) => readRecording(join(folder, name)));
}

function readRecording(file: string): Recording {
  let url = '';
  let start: number | null = null;
  const answers: { url: string; data: string }[] = [];
  const frames: { atMs: number; text: string }[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const entry = JSON.parse(line) as { t: number; kind: string; url?: string; data?: string };
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
