// `npm run secrets`: makes the logins of a deployment, once. Each service gets a folder with its own URLs, Redis its aclfile, PostgreSQL
// the SQL that makes the roles. Compose runs it before anything else; what is there already stays as it is.
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { aclFile } from '../bus/acl.ts';
import { UsageError, toError } from '../core/errors.ts';
import { loginsSql } from '../store/logins.ts';
import { LOGINS, SERVICE_LOGINS, UIDS, keptCredentials, newPassword, urlsOf, writeLogin, type Places, type ServiceLogin } from './local/credentials.ts';
import { userPath } from './local/user_path.ts';

const USAGE = `usage: npm run secrets -- create [--folder DIR] [--database HOST:PORT/NAME] [--redis HOST:PORT] [--owners]
       npm run secrets -- show <service> [the same options]
  create  makes DIR/fleet/<service>/{redis_url,database_url}, DIR/redis/users.acl, DIR/postgres/{superuser,logins.sql}; keeps what is there
  show    prints a service's DATABASE_URL and REDIS_URL for other addresses, e.g. those that Compose publishes
  --owners  gives each file to the Compose service that reads it (as root)`;

/** The servers' own user in the images of PostgreSQL and Redis. */
const SERVER_UID = 999;

interface Options {
  action: 'create' | 'show';
  service: ServiceLogin | null;
  folder: string;
  at: Places;
  owners: boolean;
}

function readOptions(argv: string[], env: Readonly<Record<string, string | undefined>>): Options {
  try {
    const { values, positionals: [action, service, ...rest] } = parseArgs({
      args: argv, allowPositionals: true, options: {
        folder: { type: 'string', default: '.data/secrets' }, database: { type: 'string', default: '127.0.0.1:5432/tapekeeper' },
        redis: { type: 'string', default: '127.0.0.1:6379' }, owners: { type: 'boolean', default: false },
      },
    });
    if (action !== 'create' && action !== 'show') throw new UsageError(`unknown action ${JSON.stringify(action ?? '')}`);
    if (rest.length > 0 || (action === 'create' && service !== undefined)) throw new UsageError(`unexpected argument ${JSON.stringify(rest[0] ?? service)}`);
    const named = SERVICE_LOGINS.find((name) => name === service) ?? null;
    if (action === 'show' && named === null) throw new UsageError(`unknown service ${JSON.stringify(service ?? '')}; known: ${SERVICE_LOGINS.join(', ')}`);
    for (const [name, value, pattern] of [['database', values.database, /^[^\s/@]+:\d+\/[\w-]+$/], ['redis', values.redis, /^[^\s/@]+:\d+$/]] as const) {
      if (!pattern.test(value)) throw new UsageError(`--${name}: ${JSON.stringify(value)} is not HOST:PORT${name === 'database' ? '/NAME' : ''}`);
    }
    return { action, service: named, folder: userPath(values.folder, env), at: { database: values.database, redis: values.redis }, owners: values.owners };
  } catch (error) {
    throw new UsageError(`${toError(error).message}\n${USAGE}`);
  }
}

/** Writes a file that its owner alone can read. */
function writeOwn(path: string, text: string, uid: number | undefined, mode = 0o400): void {
  mkdirSync(dirname(path), { recursive: true });
  // What is there may not be writable, even for its owner.
  if (existsSync(path)) chmodSync(path, 0o600);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  if (uid !== undefined) chownSync(path, uid, uid);
}

/** redis-cli inside the server's container, with the operator's name, so that `docker compose exec redis redis-cli …` is enough. */
const REDIS_CLI = `#!/bin/sh
own=$(dirname "$0")
PATH=\${PATH#"$own":} REDISCLI_AUTH=$(cat "$own/../operator") exec redis-cli --user operator "$@"
`;

function create({ folder, at, owners }: Options, given: string | undefined): void {
  const credentials = keptCredentials(join(folder, 'fleet'));
  mkdirSync(join(folder, 'fleet'), { recursive: true });
  for (const service of SERVICE_LOGINS) {
    writeLogin(join(folder, 'fleet'), service, urlsOf(service, credentials, at), owners ? UIDS[service] : undefined);
  }
  const server = owners ? SERVER_UID : undefined;
  writeOwn(join(folder, 'redis/users.acl'), aclFile(credentials.redis), server);
  writeOwn(join(folder, 'redis/operator'), credentials.redis.operator, server);
  writeOwn(join(folder, 'redis/bin/redis-cli'), REDIS_CLI, server, 0o500);
  const superuser = join(folder, 'postgres/superuser');
  const kept = existsSync(superuser) ? readFileSync(superuser, 'utf8') : '';
  writeOwn(superuser, kept || given || newPassword(), server);
  writeOwn(join(folder, 'postgres/logins.sql'), loginsSql(credentials.database), server);
  process.stdout.write(`secrets: ${SERVICE_LOGINS.length} logins in ${folder}\n`);
}

function show({ service, folder, at }: Options): void {
  const name = service ?? 'operator';
  const own = join(folder, 'fleet', name, 'redis_url');
  if (!existsSync(own)) throw new Error(`${own} is missing: npm run secrets -- create`);
  const { redisUrl, databaseUrl } = urlsOf(name, keptCredentials(join(folder, 'fleet')), at);
  process.stdout.write(`${LOGINS[name].database === null ? '' : `DATABASE_URL=${databaseUrl}\n`}REDIS_URL=${redisUrl}\n`);
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.action === 'create') create(options, process.env['POSTGRES_PASSWORD']);
  else show(options);
} catch (error) {
  process.stderr.write(`secrets: ${toError(error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
