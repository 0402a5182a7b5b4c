// A PostgreSQL 18 server of our own in a folder, on loopback only. Owns the folder, its password and the server process.
import { spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync,
  statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimFolder, freePort, hasExited, logTail, spawnChild, stopChild } from './child.ts';
import { canWrite, findPostgres, isOurs, sharedFolders, type PostgresBinaries } from './native.ts';

/** pg_ctl's words; `kill` is SIGKILL of the postmaster alone. */
export type StopMode = 'smart' | 'fast' | 'immediate' | 'kill';

export interface PostgresOptions {
  /** Name of the database that the URL leads to; created with the folder. */
  database?: string;
  /** Makes the folder's cluster anew: whatever it held is gone. */
  empty?: boolean;
  /** Further settings, `name: value`. */
  settings?: Record<string, string>;
  /** Folder whose bin/ holds the programs of another installation (/usr/lib/postgresql/15); the embedded one unless said. */
  installation?: string;
}

export interface LocalPostgres {
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** Ends the server; `fast` unless said. The folder stays and can be started again. */
  stop(mode?: StopMode): Promise<void>;
  /** Ends the server and removes its folder and data. */
  remove(): Promise<void>;
  /** Stops and starts again on the same port. */
  restart(mode?: StopMode): Promise<void>;
}

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const;
const PREFIX = 'tapekeeper-postgres-';
/** Holds the path of the link that leads to a cluster in a shared folder. */
const LINKED_FROM = 'linked-from';
const READY_ROUNDS = 3000;
const STOP_GRACE_MS = 20_000;

const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  // A socket file would need a path that is short and writable for the server's user; loopback is enough.
  unix_socket_directories: '',
  shared_buffers: '128MB',
  max_wal_size: '2GB',
  max_connections: '100',
  fsync: 'on',
  synchronous_commit: 'on',
  jit: 'off',
  // When a row was committed: `npm run trace` tells.
  track_commit_timestamp: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** Starts the server of `dir`, which is created and initialised when it is empty. Resolves when it accepts connections. */
export async function startPostgres(dir: string, options: PostgresOptions = {}): Promise<LocalPostgres> {
  const root = resolve(dir);
  mkdirSync(root, { recursive: true });
  const claim = await claimFolder(root, 'SIGINT');
  const binaries = await findPostgres(options.installation);
  const data = dataFolder(root, binaries);
  const database = options.database ?? 'postgres';
  if (options.empty === true) rmSync(data, { recursive: true, force: true });
  const logFile = join(root, 'postgres.log');
  if (!existsSync(join(data, 'PG_VERSION'))) initialise(root, data, binaries, database);
  const password = readFileSync(join(root, 'password'), 'utf8').trim();
  const settings = { ...SETTINGS, ...options.settings };

  let port = await freePort();
  let child = await launch(true);

  async function launch(anyPort: boolean): Promise<ChildProcess> {
    for (let attempt = 1; ; attempt++) {
      const started = spawnServer(binaries, data, port, settings, logFile);
      if (started.pid !== undefined) claim.child(started.pid);
      const problem = await untilReady(started, data);
      if (problem === null) return started;
      // The port was taken meanwhile, or a killed postmaster's children still hold its shared memory.
      if (attempt >= 20) throw new Error(`PostgreSQL in ${root} does not start: ${problem}\n${logTail(logFile)}`);
      if (anyPort) port = await freePort();
      await sleep(250);
    }
  }

  const end = (mode: StopMode = 'fast'): Promise<void> => stopChild(child, SIGNALS[mode], STOP_GRACE_MS);
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/${database}`,
    logFile,
    get pid() {
      return child.pid ?? 0;
    },
    async stop(mode) {
      await end(mode);
      claim.release();
    },
    async remove() {
      await end('immediate');
      if (data !== join(root, 'data')) rmSync(dirname(data), { recursive: true, force: true });
      rmSync(root, { recursive: true, force: true });
    },
    async restart(mode) {
      await end(mode);
      child = await launch(false);
    },
  };
}

/**
 * Where the cluster lies: `dir/data`; where the server's user cannot reach that, a folder under /tmp that `dir/data` links
 * to. The link, not the path, names it, so that a removed data folder is a new cluster.
 */
function dataFolder(root: string, { runAs }: PostgresBinaries): string {
  const data = join(root, 'data');
  const linked = linkTarget(data);
  if (linked !== null && existsSync(linked)) return linked;
  if (existsSync(join(data, 'PG_VERSION')) && linked === null) return data;
  if (runAs.uid === undefined || runAs.gid === undefined) return data;
  chmodSync(root, 0o711);
  const probe = join(root, `probe-${process.pid}`);
  mkdirSync(probe);
  chownSync(probe, runAs.uid, runAs.gid);
  const reachable = canWrite(probe, runAs);
  rmSync(probe, { recursive: true });
  if (reachable) return data;
  for (const base of sharedFolders()) {
    removeOrphans(base);
    const folder = mkdtempSync(join(base, PREFIX));
    chmodSync(folder, 0o711);
    writeFileSync(join(folder, LINKED_FROM), data);
    const inside = join(folder, 'probe');
    mkdirSync(inside);
    chownSync(inside, runAs.uid, runAs.gid);
    const usable = canWrite(inside, runAs);
    rmSync(usable ? inside : folder, { recursive: true });
    if (!usable) continue;
    rmSync(data, { force: true, recursive: true });
    symlinkSync(join(folder, 'data'), data);
    return join(folder, 'data');
  }
  throw new Error(`the user ${runAs.uid} that must run PostgreSQL can write neither ${root} nor a temporary folder`);
}

/** Clusters in a shared folder whose data folder was deleted: nothing leads to them any more. */
function removeOrphans(base: string): void {
  for (const name of readdirSync(base).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = join(base, name);
    const [from] = isOurs(folder) ? readLines(join(folder, LINKED_FROM)) : [];
    if (from === undefined || linkTarget(from) === join(folder, 'data')) continue;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Target of a link that we made; null where there is no link or its folder is not ours any more. */
function linkTarget(path: string): string | null {
  try {
    const target = readlinkSync(path);
    return isOurs(resolve(target, '..')) ? target : null;
  } catch {
    return null;
  }
}

/** initdb beside the final name, then a rename: a start that was killed half-way leaves nothing that looks finished. */
function initialise(root: string, data: string, binaries: PostgresBinaries, database: string): void {
  const { uid, gid } = binaries.runAs;
  const password = randomBytes(18).toString('base64url');
  const fresh = `${data}.new-${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  const passwordFile = join(fresh, '..', `.password-${process.pid}`);
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) for (const path of [fresh, passwordFile]) chownSync(path, uid, gid);
  try {
    run(binaries.initdb, ['-D', fresh, '-U', 'postgres', '-E', 'UTF8', '--no-locale', '-A', 'scram-sha-256',
      `--pwfile=${passwordFile}`, '--no-instructions'], binaries);
    // Without a running server there is no SQL client either: the single-user backend reads its statements from stdin.
    if (database !== 'postgres') {
      run(binaries.postgres, ['--single', '-D', fresh, 'postgres'], binaries, `CREATE DATABASE "${database}"\n`);
    }
  } finally {
    rmSync(passwordFile, { force: true });
  }
  writeFileSync(join(root, 'password'), password, { mode: 0o600 });
  rmSync(data, { recursive: true, force: true });
  renameSync(fresh, data);
}

function run(command: string, args: string[], { runAs }: PostgresBinaries, input = ''): void {
  const result = spawnSync(command, args, { ...runAs, cwd: '/', encoding: 'utf8', input, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } });
  if (result.status !== 0) throw new Error(`${command} failed: ${result.error?.message ?? result.stderr.trim()}`);
}

function spawnServer(
  binaries: PostgresBinaries, data: string, port: number, settings: Record<string, string>, logFile: string,
): ChildProcess {
  removeStalePid(data);
  const args = ['-D', data, '-p', String(port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  return spawnChild(binaries.postgres, args, {
    cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, ...binaries.runAs, logFile, deathSignal: 'INT',
  });
}

/** PostgreSQL itself refuses to start when a pid file's number belongs to some other process of the same user by now. */
function removeStalePid(data: string): void {
  const path = join(data, 'postmaster.pid');
  const pid = readLines(path)[0];
  if (pid === undefined) return;
  let command = '';
  try {
    command = readFileSync(`/proc/${Number(pid)}/cmdline`, 'latin1');
  } catch {
    // no such process
  }
  if (!command.includes(data)) rmSync(path, { force: true });
}

/** postmaster.pid says `ready` on line 8 once connections are accepted (what pg_ctl -w waits for). null, or the problem. */
async function untilReady(child: ChildProcess, data: string): Promise<string | null> {
  const path = join(data, 'postmaster.pid');
  for (let round = 0; round < READY_ROUNDS; round++) {
    if (hasExited(child)) return `exit code ${child.exitCode ?? child.signalCode}`;
    const lines = readLines(path);
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return null;
    await sleep(10);
  }
  await stopChild(child, 'SIGQUIT', 2000);
  return 'not ready after 30 s';
}

function readLines(path: string): string[] {
  try {
    return statSync(path).size > 0 ? readFileSync(path, 'utf8').split('\n') : [];
  } catch {
    return [];
  }
}
