// The lines of a raw capture: time, connection, kind and the exact text, unescaped (docs/capture.md).

export const KINDS = ['connect', 'recv', 'send', 'close', 'binary', 'lost'] as const;
export type Kind = (typeof KINDS)[number];

/** Behind the kind of a line whose text is a JSON string, since it holds line feeds. */
export const QUOTED = '-quoted';

const LINE = new RegExp(`^(\\d+\\.\\d{6}) (\\d+) ([a-z]+)(${QUOTED})? (.*)$`, 's');

export interface CapturedLine {
  /** Seconds since the epoch. */
  readonly t: number;
  readonly conn: number;
  readonly kind: Kind;
  /** The exact text; of a binary frame, base64. */
  readonly data: string;
}

/** Reads one line without its end; null when it is no such line. */
export function parseCaptured(line: string): CapturedLine | null {
  const [, t, conn, name, quoted, text = ''] = LINE.exec(line) ?? [];
  const kind = KINDS.find((known) => known === name);
  if (kind === undefined) return null;
  try {
    return { t: Number(t), conn: Number(conn), kind, data: quoted === undefined ? text : (JSON.parse(text) as string) };
  } catch {
    return null;
  }
}
