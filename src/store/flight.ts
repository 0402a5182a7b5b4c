// A transaction in one flight: BEGIN, the coverage, COPY, all its rows and COMMIT are sent at once, so that the server never
// waits for our busy event loop between them (a quarter of its time with full batches). That is possible where nothing has to
// be decided in between: should any of the rows be stored already, the coverage statement itself stops the transaction, the
// server ignores the rows that still arrive (https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-COPY), and the
// batch takes the way that compares.
import type pg from 'pg';
import type { Client } from './connect.ts';

/** SQLSTATE of stop_stored_already(). */
export const STORED_ALREADY = 'TK001';

/** What of pg's connection is used: it has no types for what a Submittable gets. */
interface Wire {
  query(text: string): void;
  stream: { cork(): void; write(bytes: Uint8Array): boolean; uncork(): void };
}

/** Rows go in pieces, so that the server works on the first ones while the rest arrives. */
const PIECE = 65_536;
const COPY_DATA = 0x64;
const COPY_DONE = Uint8Array.of(0x63, 0, 0, 0, 4);

/** Sends `text`, which must hold one COPY … FROM STDIN and end with COMMIT, and its rows. Resolves with the rows committed. */
export function fly(client: Client, text: string, rows: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    client.query(new Flight(text, rows, resolve, reject) as unknown as pg.Submittable);
  });
}

/** The interface of a query as pg's client drives it. */
class Flight {
  /** pg puts its timeout here; whoever ends the query must call it. */
  callback: () => void = () => undefined;
  readonly #text: string;
  readonly #bytes: Uint8Array;
  readonly #resolve: (rows: number) => void;
  readonly #reject: (error: Error) => void;
  #rows = 0;
  #committed = false;

  constructor(text: string, bytes: Uint8Array, resolve: (rows: number) => void, reject: (error: Error) => void) {
    this.#text = text;
    this.#bytes = bytes;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: Wire): void {
    const { stream } = connection;
    stream.cork();
    connection.query(this.#text);
    for (let at = 0; at < this.#bytes.length; at += PIECE) {
      const piece = this.#bytes.subarray(at, at + PIECE);
      const head = Buffer.allocUnsafe(5);
      head[0] = COPY_DATA;
      head.writeUInt32BE(piece.length + 4, 1);
      stream.write(head);
      stream.write(piece);
    }
    stream.write(COPY_DONE);
    stream.uncork();
  }

  handleCommandComplete({ text }: { text: string }): void {
    if (text.startsWith('COPY ')) this.#rows = Number(text.slice(5));
    this.#committed = text === 'COMMIT';
  }

  handleError(error: Error): void {
    this.callback();
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    this.callback();
    if (this.#committed) this.#resolve(this.#rows);
    else this.#reject(new Error('COMMIT was not answered'));
  }

  handleCopyInResponse(): void {
    // The rows are on their way.
  }

  handleRowDescription(): void {
    // The coverage statement answers with no rows.
  }

  handleDataRow(): void {
    // As above.
  }

  handleEmptyQuery(): void {
    // None is sent.
  }

  handlePortalSuspended(): void {
    // Only the extended protocol has portals.
  }
}
