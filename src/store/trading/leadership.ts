// Who may trade: a session advisory lock on a connection of its own. The lock ends with the connection, so the connection is watched:
// once it is in doubt this process is not the leader any more, whatever the server still thinks.
import pg from 'pg';
import { toError } from '../../core/errors.ts';
import { clientConfig } from '../connect.ts';

const PROBE_MS = 1_000;
const ANSWER_MS = 2_000;

export class Leadership {
  /** Fencing token: later leaders have higher ones, and the store takes no intent of an earlier one. */
  readonly epoch: number;
  /** Resolves with the reason when it is over. */
  readonly lost: Promise<string>;
  readonly #client: pg.Client;
  readonly #timer: NodeJS.Timeout;
  #over: string | null = null;
  #tell: (reason: string) => void = () => undefined;

  private constructor(client: pg.Client, epoch: number) {
    this.#client = client;
    this.epoch = epoch;
    this.lost = new Promise((resolve) => {
      this.#tell = resolve;
    });
    client.on('error', (error) => this.#end(error.message));
    client.on('end', () => this.#end('the connection to the database ended'));
    this.#timer = setInterval(() => void this.#probe(), PROBE_MS);
  }

  /** The leader's seat, or null while somebody else has it. Rejects when the database does not answer. */
  static async seek(url: string, name: string): Promise<Leadership | null> {
    const client = new pg.Client({ ...clientConfig(url, name), query_timeout: ANSWER_MS });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ got: boolean }>(`SELECT pg_try_advisory_lock(hashtext('tapekeeper'), hashtext('executor')) AS got`);
      if (rows[0]?.got === true) {
        const { rows: next } = await client.query<{ epoch: string }>(`SELECT nextval('executor_epoch') AS epoch`);
        return new Leadership(client, Number(next[0]!.epoch));
      }
      await client.end();
      return null;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /** Why it is over; null: it is not. */
  get over(): string | null {
    return this.#over;
  }

  /** Gives the seat up. Never throws. */
  async release(): Promise<void> {
    this.#end('given up');
    await this.#client.end().catch(() => undefined);
  }

  async #probe(): Promise<void> {
    try {
      await this.#client.query('SELECT 1');
    } catch (error) {
      this.#end(toError(error).message);
      // A connection that hangs holds the lock for as long as the server believes in it.
      await this.#client.end().catch(() => undefined);
    }
  }

  #end(reason: string): void {
    if (this.#over !== null) return;
    this.#over = reason;
    clearInterval(this.#timer);
    this.#tell(reason);
  }
}
