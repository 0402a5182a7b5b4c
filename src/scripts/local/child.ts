// Child processes that die with us, and folders that have one owner at a time. Owns: spawning with a parent-death
// signal, stopping with escalation, and the owner file by which a start after a kill -9 finds and ends what was left.
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ChildOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  uid?: number | undefined;
  gid?: number | undefined;
  /** stdout and stderr are appended to this file. */
  logFile: string;
  /** What the child gets when this process dies, however it dies. */
  deathSignal: 'TERM' | 'INT';
}

let setpriv: boolean | undefined;

/** util-linux setpriv asks the kernel for a signal on the parent's death; Node has no call for it. */
function hasSetpriv(): boolean {
  setpriv ??= process.platform === 'linux'
    && spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore' }).status === 0;
  return setpriv;
}

/** Starts a child in its own process group (a Ctrl-C of the terminal is ours to pass on) that ends when we do. */
export function spawnChild(command: string, args: readonly string[], options: ChildOptions): ChildProcess {
  const log = openSync(options.logFile, 'a');
  const spawnOptions: SpawnOptions = { stdio: ['ignore', log, log], detached: true };
  if (options.cwd !== undefined) spawnOptions.cwd = options.cwd;
  if (options.env !== undefined) spawnOptions.env = options.env;
  if (options.uid !== undefined) spawnOptions.uid = options.uid;
  if (options.gid !== undefined) spawnOptions.gid = options.gid;
  try {
    return hasSetpriv()
      ? spawn('setpriv', ['--pdeathsig', options.deathSignal, command, ...args], spawnOptions)
      : spawn(command, [...args], spawnOptions);
  } finally {
    closeSync(log);
  }
}

/** True once the child has exited, whatever the reason. */
export const hasExited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/** Sends the signal, waits for the exit, and kills after `graceMs`. Resolves when the child is gone. */
export async function stopChild(child: ChildProcess, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  if (hasExited(child) || child.pid === undefined) return;
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await gone;
  clearTimeout(timer);
}

/** A TCP port of 127.0.0.1 that was free a moment ago; `preferred` when that one is. */
export async function freePort(preferred = 0): Promise<number> {
  try {
    return await listenOnce(preferred);
  } catch (error) {
    if (preferred === 0) throw error;
    return listenOnce(0);
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  });
}

/** A process by number and start time: numbers are used again, the pair is not. */
interface ProcessId {
  pid: number;
  start: string;
}

interface Owner {
  owner: ProcessId;
  child: ProcessId | null;
}

/** Start time in clock ticks (proc(5), field 22), or '' where there is no such process. */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

const isAlive = (id: ProcessId): boolean => processStart(id.pid) === id.start && id.start !== '';

/** Writes a small file so that a reader sees the old text or the new one, never half. */
function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    return null;
  }
}

export interface Claim {
  /** Remembers the server that now works on the folder, so that the next start can end it if we die without doing so. */
  child(pid: number): void;
  release(): void;
}

/**
 * Makes this process the owner of a folder. A server that a dead owner left behind is ended first; a living owner is an
 * error that names it.
 */
export async function claimFolder(dir: string, leftoverSignal: NodeJS.Signals): Promise<Claim> {
  const path = join(dir, 'owner.json');
  const before = readOwner(path);
  if (before !== null && isAlive(before.owner) && (before.child === null ? before.owner.pid !== process.pid : isAlive(before.child))) {
    throw new Error(`${dir} is in use by process ${before.owner.pid}: stop that one, or choose another folder`);
  }
  if (before?.child && isAlive(before.child)) await endLeftover(before.child, leftoverSignal);
  const owner = { pid: process.pid, start: processStart(process.pid) };
  writeAtomically(path, JSON.stringify({ owner, child: null } satisfies Owner));
  return {
    child: (pid) => writeAtomically(path, JSON.stringify({ owner, child: { pid, start: processStart(pid) } } satisfies Owner)),
    release: () => rmSync(path, { force: true }),
  };
}

async function endLeftover(id: ProcessId, signal: NodeJS.Signals): Promise<void> {
  for (const [next, rounds] of [[signal, 200], ['SIGKILL', 200]] as const) {
    try {
      process.kill(id.pid, next);
    } catch {
      return;
    }
    for (let round = 0; round < rounds; round++) {
      if (!isAlive(id)) return;
      await sleep(25);
    }
  }
  throw new Error(`process ${id.pid} of an earlier run does not end`);
}

/** The last lines of a log file, for error messages. */
export function logTail(path: string, lines = 12): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
