// Connections to PostgreSQL and the one way to run a transaction. Owns the session settings that the rest relies on:
// UTC, short lock waits, commits that are on disk.
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';

export type Pool = pg.Pool;
export type Client = pg.ClientBase;

export interface PoolOptions {
  /** Shown in pg_stat_activity. */
  name: string;
  log: Pick<Logger, 'warn'>;
  max?: number;
  /** Sessions in which the server refuses every write. */
  readOnly?: boolean;
  /** The process is to end: what the server has not answered four seconds later is cut off. */
  signal?: AbortSignal;
}

/** The server gives up first, so that a slow statement ends with a SQLSTATE; the client's limit is for a dead connection. */
const STATEMENT_TIMEOUT_MS = 15_000;
const CLIENT_TIMEOUT_MS = 20_000;
const LOCK_TIMEOUT_MS = 4_000;
const LAST_ANSWER_MS = 4_000;
const END_MS = 1_000;
const MIN_VERSION = 180_000;

/** A date stays `YYYY-MM-DD`: the driver's default is a Date at local midnight. numeric and int8 are text by default. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => (oid === pg.types.builtins.DATE ? (text: string) => text : pg.types.getTypeParser(oid, format ?? 'text')) as never,
};

/** What every connection of the fleet is opened with. */
export function clientConfig(url: string, name: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    query_timeout: CLIENT_TIMEOUT_MS,
    options: `-c timezone=UTC -c statement_timeout=${STATEMENT_TIMEOUT_MS} -c lock_timeout=${LOCK_TIMEOUT_MS}`
      + ' -c idle_in_transaction_session_timeout=30000 -c synchronous_commit=on',
    types,
  };
}

/** The sockets of a pool, those of connections that are being made among them. */
class Sockets {
  readonly #open = new Set<Socket>();
  readonly #allClosed = Promise.withResolvers<undefined>();
  #state: 'open' | 'ending' | 'cut' = 'open';

  get isCut(): boolean {
    return this.#state === 'cut';
  }

  readonly make = (): Socket => {
    const socket = new Socket();
    this.#open.add(socket);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#look();
    });
    if (this.isCut) setImmediate(() => destroy(socket));
    return socket;
  };

  /** Resolves when all are closed, which somebody else must see to. */
  async end(): Promise<void> {
    if (!this.isCut) this.#state = 'ending';
    this.#look();
    await this.#allClosed.promise;
  }

  /** Ends all of them at once, and each that is made from now on: what waits for an answer rejects. */
  cut(): void {
    this.#state = 'cut';
    for (const socket of this.#open) destroy(socket);
  }

  #look(): void {
    if (this.#state !== 'open' && this.#open.size === 0) this.#allClosed.resolve(undefined);
  }
}

const destroy = (socket: Socket): unknown => socket.destroy(new Error('Connection terminated: the process is ending'));
const socketsOf = new WeakMap<Pool, Sockets>();

/** A pool that survives the server's restarts: a connection that breaks is replaced, never an unhandled 'error'. */
export function createPool(url: string, options: PoolOptions): Pool {
  const sockets = new Sockets();
  const config = clientConfig(url, options.name);
  if (options.readOnly === true) config.options = `${config.options ?? ''} -c default_transaction_read_only=on`;
  const pool = new pg.Pool({ ...config, max: options.max ?? 4, idleTimeoutMillis: 60_000, stream: sockets.make });
  socketsOf.set(pool, sockets);
  options.signal?.addEventListener('abort', () => setTimeout(() => sockets.cut(), LAST_ANSWER_MS).unref(), { once: true });
  pool.on('error', (error) => {
    if (!sockets.isCut) options.log.warn({ err: error }, 'database connection lost');
  });
  // A checked-out client between two statements has no query to reject, and would end the process.
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
  });
  return pool;
}

/** Ends a pool's connections: politely while the server answers, after a second in any case. Never throws. */
export async function closePool(pool: Pool): Promise<void> {
  const sockets = socketsOf.get(pool);
  const ended = pool.end().then(() => sockets?.end()).catch(() => undefined);
  await Promise.race([ended, sleep(END_MS, undefined, { ref: false })]);
  sockets?.cut();
}

/**
 * Runs `work` between BEGIN and COMMIT. Rejects with the first error after ROLLBACK. A client that failed for any other
 * reason than an answer of the server (timeout, broken connection) is destroyed, never reused.
 * A rejection of COMMIT itself means *unknown*: callers must be able to run the same work again.
 */
export function transaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  return packedTransaction(pool, '', async (client) => ({ value: await work(client), committed: false }));
}

/**
 * The same in fewer round trips. `first` is a statement without parameters that travels with BEGIN; `work` gets its rows. It
 * may let its last statement carry COMMIT along and then says so. Each trip saved is a turn of our busy event loop for
 * which the server would be idle: a tenth of the time of a full batch.
 */
export function packedTransaction<T>(
  pool: Pool, first: string, work: (client: Client, rows: unknown[]) => Promise<{ value: T; committed: boolean }>,
): Promise<T> {
  return withTransaction(pool, async (client) => {
    const opened = (await client.query(`BEGIN; ${first}`)) as unknown as pg.QueryResult | pg.QueryResult[];
    const { value, committed } = await work(client, Array.isArray(opened) ? (opened.at(-1)?.rows ?? []) : []);
    if (committed) return value;
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error(`COMMIT was answered ${command}`);
    return value;
  });
}

/** Lends a client to `work`, which begins and commits a transaction on it by itself; rolls back when it rejects. */
export async function withTransaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let destroy = false;
  try {
    return await work(client);
  } catch (error) {
    destroy = !(error instanceof pg.DatabaseError) || !(await rolledBack(client));
    throw error;
  } finally {
    client.release(destroy);
  }
}

async function rolledBack(client: Client): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the server answers and is new enough; rejects with one clear line otherwise. */
export async function pingDatabase(client: Pick<Client, 'query'>): Promise<void> {
  const { rows } = await client.query<{ v: string }>(`SELECT current_setting('server_version_num') AS v`);
  const version = Number(rows[0]?.v);
  // RETURNING old.* (coverage.ts) came with PostgreSQL 18.
  if (version < MIN_VERSION) throw new Error(`PostgreSQL 18 or newer is needed, this is ${Math.floor(version / 10_000)}`);
}

/** SQLSTATE of an error, or '' when the server did not answer with one. */
export function sqlState(error: unknown): string {
  const { code } = toError(error) as Error & { code?: unknown };
  return error instanceof pg.DatabaseError && typeof code === 'string' ? code : '';
}

const UNDEFINED_TABLE = '42P01';
const CHECK_VIOLATION = '23514';

/**
 * The partitions changed under a statement: the one it named was dropped, or the row it had sent to the default partition
 * has got a partition of its own meanwhile. Look at the partitions again and repeat it.
 */
export function partitionsMoved(error: unknown): boolean {
  const state = sqlState(error);
  return state === UNDEFINED_TABLE || (state === CHECK_VIOLATION && (error as pg.DatabaseError).constraint === undefined);
}
