import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalPostgres } from '../scripts/local/postgres.ts';
import { freshDatabase, ownPostgres, type FreshDatabase } from '../testing/servers.ts';
import { clientConfig } from './connect.ts';
import { DATABASE_SERVICES, OWNER, createLogins, loginsSql, roleOf, type DatabasePasswords, type DatabaseService } from './logins.ts';
import { migrateUp, migrationStatus } from './migrate.ts';
import { ensureDayPartitions } from './partitions.ts';

type Rights = Readonly<Record<string, string>>;

const TRADES = { public_trades: 'SI', tickers: 'SI', trade_coverage: 'SIU', trade_extent: 'SIU', ohlc: 'SIU' };

/** What each role may do with each table: Select, Insert, Update, Delete, Truncate, Maintain. What is not here it may not touch. */
const MATRIX: Readonly<Record<Exclude<DatabaseService, 'console' | 'operator'>, Rights>> = {
  distributor: { ...TRADES, instruments: 'SI', data_gaps: 'SI' },
  analyzer: {
    instruments: 'S', v_instruments: 'S', public_trades: 'S', ohlc: 'S', tickers: 'S', trade_coverage: 'S', data_gaps: 'S', v_completeness: 'S',
  },
  backfill: { public_trades: 'SI', trade_coverage: 'SIU', trade_extent: 'SIU', ohlc: 'SIU', backfill_jobs: 'SIU', data_gaps: 'SU', instruments: 'S' },
  executor: {
    orders: 'SIU', positions: 'SIU', trading_cases: 'SIU', trading_flags: 'SIU', order_events: 'SI', fills: 'SI', account_log: 'SI', risk_refusals: 'SI',
    account_log_reads: 'SIU', fills_to_book: 'SD',
    equity_marks: 'SI', state_log: 'SI', instruments: 'S', v_instruments: 'S', public_trades: 'S', ohlc: 'S', tickers: 'S', trade_coverage: 'S', data_gaps: 'S',
  },
  governor: {
    instruments: 'SIU', ohlc: 'SIU', data_gaps: 'SIU', audit_runs: 'SIU', audit_findings: 'SIU', state_log: 'SI', operator_actions: 'SI',
    v_instruments: 'S', public_trades: 'S', trade_coverage: 'S', trade_extent: 'S', backfill_jobs: 'S', v_completeness: 'S',
    orders: 'S', account_log: 'S', account_log_reads: 'S', fills: 'SI', fills_to_book: 'SI',
  },
  maintenance: {
    instruments: 'SUM', state_log: 'SI', operator_actions: 'SI', data_gaps: 'S', trade_coverage: 'SM', public_trades: 'M', tickers: 'M', ohlc: 'M',
    trade_extent: 'M',
  },
};
const OPERATOR: Rights = { state_log: 'SI', operator_actions: 'SI', trading_flags: 'SIU' };
const VERBS = { S: 'SELECT', I: 'INSERT', U: 'UPDATE', D: 'DELETE', T: 'TRUNCATE', M: 'MAINTAIN' } as const;

function expected(service: DatabaseService, table: string): string {
  if (service === 'console') return 'S';
  if (service === 'operator') return OPERATOR[table] ?? 'S';
  return table === 'pgmigrations' ? 'S' : MATRIX[service][table] ?? '';
}

describe('rights of the roles', () => {
  let database: FreshDatabase;
  let client: pg.Client;

  beforeAll(async () => {
    database = await freshDatabase('roles', { migrated: true });
    client = new pg.Client(clientConfig(database.url, 'test'));
    await client.connect();
    await ensureDayPartitions(client, 'public_trades', 20_000, 20_001);
    await client.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('deribit', 'X', 'deribit', 'open')`);
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  /** Runs one statement with a role's rights; resolves with the SQLSTATE of its error, or `ok`. Nothing of it stays. */
  async function as(service: DatabaseService, sql: string): Promise<string> {
    await client.query('BEGIN');
    await client.query(`SET LOCAL ROLE ${roleOf(service)}`);
    const state = await client.query(sql).then(() => 'ok', (error: unknown) => (error as pg.DatabaseError).code ?? '');
    await client.query('ROLLBACK');
    return state;
  }
  const DENIED = '42501';

  it('are these on every table and partition, and no others', async () => {
    const { rows } = await client.query<{ service: DatabaseService; table: string; parent: string; rights: string }>(
      `SELECT s.service, c.relname AS table, coalesce(p.relname, c.relname) AS parent, (
         SELECT coalesce(string_agg(v.letter, '' ORDER BY v.n) FILTER (WHERE has_table_privilege('tk_' || s.service, c.oid, v.verb)), '')
         FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS v(letter, verb, n)) AS rights
       FROM unnest($1::text[]) AS s(service) CROSS JOIN pg_class c
       LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')`, [DATABASE_SERVICES, Object.keys(VERBS), Object.values(VERBS)]);
    expect(rows.length).toBeGreaterThan(DATABASE_SERVICES.length * 25);
    const wrong = rows.filter(({ service, parent, rights }) => rights !== expected(service, parent))
      .map(({ service, table, parent, rights }) => `${service} on ${table}: ${rights || 'nothing'}, not ${expected(service, parent) || 'nothing'}`);
    expect(wrong).toEqual([]);
  });

  it('let nobody make, change or drop a table, nor become somebody else', async () => {
    const { rows } = await client.query(
      `SELECT rolname FROM pg_roles WHERE rolname LIKE 'tk\\_%' AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)`);
    expect(rows).toEqual([]);
    for (const service of DATABASE_SERVICES) {
      for (const sql of [
        'CREATE TABLE public.mine (n int)', 'DROP TABLE public_trades', 'ALTER TABLE orders ADD COLUMN n int', 'TRUNCATE state_log',
        'DELETE FROM state_log', 'UPDATE order_events SET event = event', `COPY instruments TO PROGRAM 'true'`, `SELECT pg_read_file('/etc/passwd')`,
      ]) expect(`${service}: ${sql}: ${await as(service, sql)}`).toBe(`${service}: ${sql}: ${DENIED}`);
    }
  });

  it('let those make and drop day partitions that must, and only of the two tables', async () => {
    for (const service of DATABASE_SERVICES) {
      const may = ['distributor', 'backfill', 'governor', 'maintenance'].includes(service);
      const made = await as(service, `SELECT ensure_day_partitions('tickers', '2020-01-01', '2020-01-02')`);
      expect(`${service} ${made}`).toBe(`${service} ${may ? 'ok' : DENIED}`);
      const drops = service === 'maintenance';
      expect(`${service} ${await as(service, `SELECT drop_day_partition('public_trades', '2024-10-04')`)}`).toBe(`${service} ${drops ? 'ok' : DENIED}`);
      expect(await as(service, `SELECT copy_table_rights('public_trades', 'orders')`)).toBe(DENIED);
    }
    expect(await as('maintenance', `SELECT ensure_day_partitions('orders', '2020-01-01', '2020-01-02')`)).toBe('22023');
    expect(await as('maintenance', `SELECT drop_day_partition('orders', '2020-01-01')`)).toBe('22023');
    const { rows } = await client.query(
      `SELECT drop_day_partition('public_trades', '2024-10-05') AS there, drop_day_partition('public_trades', '2024-10-09') AS no`);
    expect(rows).toEqual([{ there: true, no: false }]);
  });

  it('let the executor stop trading and not start it', async () => {
    const set = (name: string, value: string): string => `INSERT INTO trading_flags (name, value, by) VALUES ('${name}', '${value}', 'test')
      ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
    expect(await as('executor', set('kill_switch', 'on'))).toBe('ok');
    for (const sql of [set('kill_switch', 'off'), set('live_trading', 'account')]) {
      expect(await as('executor', sql)).toBe(DENIED);
      expect(await as('operator', sql)).toBe('ok');
      expect(await as('governor', sql)).toBe(DENIED);
    }
  });

  it('let the operator end a case, and change nothing of what was found', async () => {
    const set = `status = 'closed', decision = 'counted', updated_at = now(), closed_at = now()`;
    expect(await as('operator', `UPDATE trading_cases SET ${set} WHERE case_id = 1 AND status IN ('open', 'locked')`)).toBe('ok');
    expect(await as('operator', `UPDATE trading_cases SET ours = '{}'`)).toBe(DENIED);
    expect(await as('console', `UPDATE trading_cases SET ${set}`)).toBe(DENIED);
  });
});

describe('logins', () => {
  let server: LocalPostgres;
  const passwords = Object.fromEntries([...DATABASE_SERVICES, 'owner'].map((name) => [name, `secret/of ${name}`])) as DatabasePasswords;
  const urlOf = (role: string, password: string): string => {
    const url = new URL(server.url);
    url.username = role;
    url.password = encodeURIComponent(password);
    return url.href;
  };
  const asLogin = async <T,>(role: string, password: string, use: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = new pg.Client(clientConfig(urlOf(role, password), 'test'));
    try {
      await client.connect();
      return await use(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const asAdministrator = async (use: (client: pg.Client) => Promise<unknown>): Promise<void> => {
    const client = new pg.Client(server.url);
    await client.connect();
    await use(client).finally(() => client.end());
  };

  beforeAll(async () => {
    server = await ownPostgres({ database: 'fleet' });
  });
  afterAll(() => server.remove());

  it('hold no password in their SQL', () => {
    const sql = loginsSql(passwords);
    for (const password of Object.values(passwords)) expect(sql).not.toContain(password);
    expect(sql).not.toBe(loginsSql(passwords));
  });

  it('let the owner migrate an empty database, and the services in afterwards', async () => {
    await asAdministrator((client) => createLogins(client, passwords));
    expect((await migrateUp(urlOf(OWNER, passwords.owner))).length).toBeGreaterThan(12);
    for (const service of DATABASE_SERVICES) {
      const status = await asLogin(roleOf(service), passwords[service], (client) => migrationStatus(client));
      expect(status.pending).toEqual([]);
    }
    await expect(asLogin(roleOf('executor'), passwords.console, (client) => client.query('SELECT 1'))).rejects.toThrow(/password authentication failed/);
    const { rows } = await asLogin(OWNER, passwords.owner, (client) => client.query<{ name: string; limit: number; set: string }>(
      `SELECT rolname AS name, rolconnlimit AS limit, rolconfig::text AS set FROM pg_roles WHERE rolname = 'tk_console'`));
    expect(rows[0]?.limit).toBe(8);
    expect(rows[0]?.set).toMatch(/search_path=public.*statement_timeout=30s.*lock_timeout=10s.*idle_in_transaction_session_timeout=60s/);
  });

  it('hand over what an administrator made before, and do no harm when they are made again', async () => {
    await asAdministrator(async (client) => {
      await client.query('CREATE TABLE late (n serial PRIMARY KEY)');
      await createLogins(client, { ...passwords, console: 'another one' });
      const { rows } = await client.query<{ owners: string[] }>(
        `SELECT array_agg(DISTINCT relowner::regrole::text) AS owners FROM pg_class WHERE relnamespace = 'public'::regnamespace`);
      expect(rows[0]?.owners).toEqual([OWNER]);
    });
    await asLogin(OWNER, passwords.owner, (client) => client.query('ALTER TABLE late ADD COLUMN m int; DROP TABLE late'));
    await asLogin(roleOf('console'), 'another one', (client) => client.query('SELECT count(*) FROM orders'));
    await asLogin(roleOf('maintenance'), passwords.maintenance, async (client) => {
      await ensureDayPartitions(client, 'tickers', 20_000, 20_000);
      await client.query('VACUUM (ANALYZE) tickers');
      await client.query('VACUUM (ANALYZE) tickers_p20241004');
    });
  });
});
