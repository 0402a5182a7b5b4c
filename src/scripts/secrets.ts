// `npm run secrets`: makes the logins of a deployment, once. Each service gets a folder with its own URLs, Redis its aclfile, PostgreSQL
// the SQL that makes the roles, Grafana its administrator's password. Compose runs it before anything else; what is there already stays as it is.
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
  create  makes DIR/fleet/<service>/{redis_url,database_url}, DIR/redis/users.acl, DIR/postgres/{superuser,logins.sql},
          DIR/grafana/admin; keeps what is there
  show    prints a service's DATABASE_URL and REDIS_URL for other addresses, e.g. those that Compose publishes; of grafana its admin's password
  --owners  gives each file to the Compose service that reads it (as root)`;

/** The servers' own user in the images of PostgreSQL and Redis. */
const SERVER_UID = 999;
const GRAFANA_UID = 472;
const GRAFANA = 'grafana';

interface Options {
  action: 'create' | 'show';
  service: ServiceLogin | typeof GRAFANA | null;
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
    const known = [...SERVICE_LOGINS, GRAFANA] as const;
    const named = known.find((name) => name === service) ?? null;
    if (action === 'show' && named === null) throw new UsageError(`unknown service ${JSON.stringify(service ?? '')}; known: ${known.join(', ')}`);
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

/** A password that stays once it is there; `given` at first, else one that is made. */
function keepPassword(path: string, given: string | undefined, uid: number | undefined): void {
  const kept = existsSync(path) ? readFileSync(path, 'utf8') : '';
  writeOwn(path, kept || given || newPassword(), uid);
}

function create({ folder, at, owners }: Options, given: { superuser: string | undefined; grafana: string | undefined }): void {
  const credentials = keptCredentials(join(folder, 'fleet'));
  mkdirSync(join(folder, 'fleet'), { recursive: true });
  for (const service of SERVICE_LOGINS) {
    writeLogin(join(folder, 'fleet'), service, urlsOf(service, credentials, at), owners ? UIDS[service] : undefined);
  }
  const server = owners ? SERVER_UID : undefined;
  writeOwn(join(folder, 'redis/users.acl'), aclFile(credentials.redis), server);
  writeOwn(join(folder, 'redis/operator'), credentials.redis.operator, server);
  writeOwn(join(folder, 'redis/bin/redis-cli'), REDIS_CLI, server, 0o500);
  keepPassword(join(folder, 'postgres/superuser'), given.superuser, server);
  keepPassword(join(folder, 'grafana/admin'), given.grafana, owners ? GRAFANA_UID : undefined);
  writeOwn(join(folder, 'postgres/logins.sql'), loginsSql(credentials.database), server);
  process.stdout.write(`secrets: ${SERVICE_LOGINS.length} logins in ${folder}\n`);
}

function show({ service, folder, at }: Options): void {
  const own = service === GRAFANA ? join(folder, 'grafana/admin') : join(folder, 'fleet', service ?? 'operator', 'redis_url');
  if (!existsSync(own)) throw new Error(`${own} is missing: npm run secrets -- create`);
  if (service === GRAFANA) {
    process.stdout.write(`GRAFANA_PASSWORD=${readFileSync(own, 'utf8')}\n`);
    return;
  }
  const name = service ?? 'operator';
  const { redisUrl, databaseUrl } = urlsOf(name, keptCredentials(join(folder, 'fleet')), at);
  process.stdout.write(`${LOGINS[name].database === null ? '' : `DATABASE_URL=${databaseUrl}\n`}REDIS_URL=${redisUrl}\n`);
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.action === 'create') create(options, { superuser: process.env['POSTGRES_PASSWORD'], grafana: process.env['GRAFANA_PASSWORD'] });
  else show(options);
} catch (error) {
  process.stderr.write(`secrets: ${toError(error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
