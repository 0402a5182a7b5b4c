// A Redis server of our own in a folder, on loopback only: noeviction, so that a full one refuses instead of forgetting.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { aclFile, type RedisPasswords, type RedisUser } from '../../bus/acl.ts';
import { claimFolder, freePort, hasExited, logTail, spawnChild, stopChild } from './child.ts';

export interface RedisOptions {
  /** e.g. `512mb`; no limit without it. */
  maxmemory?: string;
  /** Append-only file, fsync every second. Default false: nothing is kept over a restart. */
  appendonly?: boolean;
  port?: number;
  /** Lets in the fleet's users alone, each with its rights (bus/acl.ts); without it whoever connects may do anything. */
  passwords?: RedisPasswords;
}

export interface LocalRedis {
  /** Where there are users: the operator's. */
  readonly url: string;
  /** The same server for one user; needs RedisOptions.passwords. */
  urlOf(user: RedisUser): string;
  readonly pid: number;
  readonly logFile: string;
  stop(): Promise<void>;
  /** Ends the server and removes its folder. */
  remove(): Promise<void>;
  /** SIGKILL; `restart` brings it back. */
  kill(): Promise<void>;
  /** Stops (unless it is down already) and starts again on the same port. */
  restart(): Promise<void>;
}

const STOP_GRACE_MS = 8000;
const READY_ROUNDS = 1500;
const ACL_FILE = 'users.acl';

/** Starts the system's redis-server on `dir`. Resolves when it answers PING and has loaded its file. */
export async function startRedis(dir: string, options: RedisOptions = {}): Promise<LocalRedis> {
  const root = resolve(dir);
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const claim = await claimFolder(root, 'SIGTERM');
  const logFile = join(root, 'redis.log');
  const { passwords } = options;
  if (passwords !== undefined) writeFileSync(join(root, ACL_FILE), aclFile(passwords), { mode: 0o600 });
  let port = options.port ?? await freePort();
  let child = await launch(options.port === undefined);

  async function launch(anyPort: boolean): Promise<ChildProcess> {
    for (let attempt = 1; ; attempt++) {
      const started = spawnChild('redis-server', serverArgs(root, port, options), { cwd: root, logFile, deathSignal: 'TERM' });
      let problem: string | null = null;
      started.on('error', (error) => {
        problem = error.message;
      });
      if (started.pid !== undefined) claim.child(started.pid);
      problem = await untilReady(started, port, passwords?.operator) ?? problem;
      if (problem === null) return started;
      if (attempt >= 5) throw new Error(`redis-server in ${root} does not start: ${problem}\n${logTail(logFile)}`);
      if (anyPort) port = await freePort();
      await sleep(100);
    }
  }

  const urlOf = (user: RedisUser): string => `redis://${user}:${encodeURIComponent(passwords?.[user] ?? '')}@127.0.0.1:${port}`;
  return {
    url: passwords === undefined ? `redis://127.0.0.1:${port}` : urlOf('operator'),
    urlOf,
    logFile,
    get pid() {
      return child.pid ?? 0;
    },
    async stop() {
      await stopChild(child, 'SIGTERM', STOP_GRACE_MS);
      claim.release();
    },
    async remove() {
      await stopChild(child, 'SIGKILL', STOP_GRACE_MS);
      rmSync(root, { recursive: true, force: true });
    },
    kill: () => stopChild(child, 'SIGKILL', STOP_GRACE_MS),
    async restart() {
      await stopChild(child, 'SIGTERM', STOP_GRACE_MS);
      child = await launch(false);
    },
  };
}

function serverArgs(dir: string, port: number, options: RedisOptions): string[] {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--protected-mode', 'yes', '--dir', dir, '--daemonize', 'no',
    '--save', '', '--appendonly', options.appendonly === true ? 'yes' : 'no', '--appendfsync', 'everysec',
    '--maxmemory-policy', 'noeviction'];
  if (options.passwords !== undefined) args.push('--aclfile', join(dir, ACL_FILE));
  if (options.maxmemory !== undefined) args.push('--maxmemory', options.maxmemory);
  return args;
}

async function untilReady(child: ChildProcess, port: number, password: string | undefined): Promise<string | null> {
  for (let round = 0; round < READY_ROUNDS; round++) {
    if (child.pid === undefined) return 'redis-server not found (apt-get install redis-server)';
    if (hasExited(child)) return `exit code ${child.exitCode ?? child.signalCode}`;
    if (await answersPing(port, password)) return hasExited(child) ? 'the port belongs to another server' : null;
    await sleep(10);
  }
  await stopChild(child, 'SIGKILL', STOP_GRACE_MS);
  return 'no PONG after 15 s';
}

function answersPing(port: number, password: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${password === undefined ? '' : `AUTH operator ${password}\r\n`}PING\r\n`));
    let said = '';
    const done = (ok: boolean): void => {
      socket.destroy();
      resolve(ok);
    };
    socket.setTimeout(1000, () => done(false));
    socket.once('error', () => done(false));
    socket.on('data', (data) => {
      said += data.toString();
      // The answer to AUTH comes first, and may come alone.
      if (said !== '+OK\r\n') done(said.replace('+OK\r\n', '').startsWith('+PONG'));
    });
  });
}
