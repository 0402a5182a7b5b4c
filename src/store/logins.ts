// What a deployment adds to the schema: the owner, and logins for the services' roles (migration 0013 says what each may do).
// The statements hold no password, only what PostgreSQL itself would store of it, so that none can stand in its log.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { Client } from './connect.ts';

export const DATABASE_SERVICES = [
  'distributor', 'analyzer', 'backfill', 'executor', 'governor', 'maintenance', 'console', 'operator',
] as const;
export type DatabaseService = (typeof DATABASE_SERVICES)[number];

/** Owns the schema and migrates it: the janitor's one-shot bootstrap and `npm run migrate`. No service that runs on logs in as it. */
export const OWNER = 'tk_owner';
export const roleOf = (service: DatabaseService): string => `tk_${service}`;

/** Of the owner and of each service. */
export type DatabasePasswords = Readonly<Record<DatabaseService | 'owner', string>>;

interface Limits {
  connections: number;
  /** Sessions of ours set shorter ones (store/connect.ts); these are for whoever else logs in. */
  statement: string;
}

const USUAL: Limits = { connections: 20, statement: '60s' };
const LIMITS: Readonly<Partial<Record<DatabaseService, Limits>>> = {
  // Vacuum sets its own time.
  maintenance: { connections: 8, statement: '60s' },
  console: { connections: 8, statement: '30s' },
  operator: { connections: 20, statement: '15min' },
};

const ITERATIONS = 4_096;

/** What pg_authid holds of a password (RFC 5803). `random` gives the salt. */
export function scramVerifier(password: string, random: (size: number) => Buffer = randomBytes): string {
  const salt = random(16);
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, ITERATIONS, 32, 'sha256');
  const key = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}

const makeRole = (role: string): string => `DO $$ BEGIN CREATE ROLE ${role};
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`;

function login(role: string, password: string, { connections, statement }: Limits): string {
  return [
    makeRole(role),
    `ALTER ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT ${connections}`,
    `  PASSWORD '${scramVerifier(password)}';`,
    ...[`search_path = public`, `statement_timeout = '${statement}'`, `lock_timeout = '10s'`, `idle_in_transaction_session_timeout = '60s'`]
      .map((setting) => `ALTER ROLE ${role} SET ${setting};`),
  ].join('\n');
}

/** Whatever an administrator made in the schema so far becomes the owner's, so that the owner can migrate it. */
const HAND_OVER = `DO $$
DECLARE
  it record;
BEGIN
  EXECUTE format('ALTER DATABASE %I OWNER TO ${OWNER}', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  ALTER SCHEMA public OWNER TO ${OWNER};
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  FOR it IN
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name FROM pg_class c
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND relowner <> '${OWNER}'::regrole
        -- A sequence of a column goes with its table.
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND relkind = 'S')
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND proowner <> '${OWNER}'::regrole
  LOOP
    EXECUTE format('ALTER %s %s OWNER TO ${OWNER}', it.kind, it.name);
  END LOOP;
END $$;`;

/**
 * SQL for an administrator of the server, in the fleet's database, before or after its migrations and as often as one likes: makes
 * the roles, their passwords and limits, hands the schema to the owner, and lets nobody else connect.
 */
export function loginsSql(passwords: DatabasePasswords): string {
  const roles = DATABASE_SERVICES.map(roleOf);
  return [
    'BEGIN;',
    login(OWNER, passwords.owner, { connections: 10, statement: '0' }),
    ...DATABASE_SERVICES.map((service) => login(roleOf(service), passwords[service], LIMITS[service] ?? USUAL)),
    HAND_OVER,
    `DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO ${roles.join(', ')}', current_database()); END $$;`,
    'COMMIT;',
    '',
  ].join('\n');
}

/** Applies loginsSql as the administrator that `client` is logged in as. */
export async function createLogins(client: Pick<Client, 'query'>, passwords: DatabasePasswords): Promise<void> {
  await client.query(loginsSql(passwords));
}
