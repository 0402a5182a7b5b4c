// The preamble of every npm script: plain JavaScript for Node 20 or newer, without any package, because nothing may be
// installed yet. Installs the lockfile's packages when they are missing or stale, redis-server when the command needs one
// and it may, then runs the command on the project's own Node 24 and passes on signals and the exit code.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MODULES = join(ROOT, 'node_modules');
const STAMP = join(MODULES, '.tapekeeper-install.json');
const VITEST = 'node_modules/vitest/vitest.mjs';
const GRACE_MS = 10_000;

/** What each npm script runs. `dev`: needs the development packages. `redis`: needs a local redis-server unless REDIS_URL is set. */
const COMMANDS = {
  demo: { steps: [['src/scripts/demo.ts']], redis: 'own' },
  live: { steps: [['src/scripts/demo.ts', '--live']], redis: 'own' },
  start: { steps: [['src/scripts/start.ts']] },
  migrate: { steps: [['src/scripts/migrate.ts']] },
  dlq: { steps: [['src/scripts/dlq.ts']] },
  'system-unlock': { steps: [['src/scripts/system-state.ts', 'unlock']] },
  'system-lock': { steps: [['src/scripts/system-state.ts', 'lock']] },
  maintenance: { steps: [['src/scripts/maintenance.ts']] },
  secrets: { steps: [['src/scripts/secrets.ts']] },
  doctor: { steps: [['src/scripts/doctor.ts']] },
  events: { steps: [['src/scripts/events.ts']] },
  'kill-switch': { steps: [['src/scripts/kill-switch.ts']] },
  orders: { steps: [['src/scripts/books.ts', 'orders']] },
  positions: { steps: [['src/scripts/books.ts', 'positions']] },
  cases: { steps: [['src/scripts/books.ts', 'cases']] },
  audit: { steps: [['src/scripts/audit.ts']] },
  completeness: { steps: [['src/scripts/completeness.ts']] },
  chaos: { steps: [['src/scripts/chaos.ts']] },
  trace: { steps: [['src/scripts/trace.ts']] },
  export: { steps: [['src/scripts/export.ts']] },
  backtest: { steps: [['src/scripts/backtest.ts']] },
  contracts: { steps: [['src/scripts/contracts.ts']], dev: true },
  metrics: { steps: [['src/scripts/metrics.ts']], dev: true },
  bench: { steps: [['src/scripts/bench.ts']], dev: true, redis: 'given' },
  dev: { steps: [['node_modules/tsx/dist/cli.mjs', 'watch', 'src/scripts/start.ts']], dev: true },
  test: { steps: [[VITEST, 'run']], dev: true, redis: 'given' },
  check: {
    dev: true,
    env: { TEST_SERVERS: 'none' },
    steps: [
      ['node_modules/ts7/bin/tsc', '-p', '.'],
      ['node_modules/ts7/bin/tsc', '-p', 'src/services/console/public'],
      ['node_modules/eslint/bin/eslint.js', '.'],
      ['src/scripts/contracts.ts', '--check'],
      ['src/scripts/metrics.ts', '--check'],
      ['src/scripts/migrate.ts', 'init-sql', '--check'],
      [VITEST, 'run', 'src/tidy.test.ts'],
    ],
  },
};

function fail(line, code = 1) {
  process.stderr.write(`${line}\n`);
  process.exit(code);
}

const say = (line) => process.stderr.write(`${line}\n`);

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** Entries of the lockfile that must be on disk: [folder, version]. Optional ones of other platforms are nobody's loss. */
function requiredPackages(lock, withDev) {
  return Object.entries(lock.packages ?? {}).filter(([folder, entry]) =>
    folder !== '' && entry.optional !== true && entry.devOptional !== true && (withDev || entry.dev !== true));
}

/** null when what is installed is what the lockfile says, else why not. */
function installProblem(withDev) {
  const lockText = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const hash = createHash('sha256').update(lockText).digest('hex');
  const installed = readJson(join(MODULES, '.package-lock.json'))?.packages;
  if (installed === undefined) return 'missing';
  const lock = JSON.parse(lockText);
  for (const [folder, entry] of requiredPackages(lock, withDev)) {
    if (installed[folder]?.version !== entry.version) return 'stale';
    if (!existsSync(join(ROOT, folder))) return 'stale';
  }
  // An optional package that this platform could have is asked for once per lockfile.
  if (readJson(STAMP)?.lock === hash) return null;
  const fits = (list, value) => list === undefined || list.includes(value);
  for (const [folder, entry] of Object.entries(lock.packages)) {
    const wanted = entry.optional === true && fits(entry.os, process.platform) && fits(entry.cpu, process.arch);
    if (wanted && lock.packages[''].optionalDependencies?.[folder.slice('node_modules/'.length)] !== undefined
      && !existsSync(join(ROOT, folder))) return 'stale';
  }
  return null;
}

/** Two commands started at once on a fresh clone: one installs, the other waits for it. */
async function withInstallLock(work) {
  const lock = join(tmpdir(), `tapekeeper-install-${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}`);
  for (;;) {
    try {
      mkdirSync(lock);
      writeFileSync(join(lock, 'pid'), String(process.pid));
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') return work();
    }
    if (isAbandoned(lock)) rmSync(lock, { recursive: true, force: true });
    else await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function isAbandoned(lock) {
  try {
    const pid = Number(readFileSync(join(lock, 'pid'), 'utf8'));
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error.code === 'EPERM') return false;
    // No pid yet: its owner is between two calls, unless that was long ago.
    if (error.code === 'ENOENT') return Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0) > 5000;
    return true;
  }
}

async function ensurePackages(withDev) {
  if (installProblem(withDev) === null) return;
  await withInstallLock(async () => {
    const problem = installProblem(withDev);
    if (problem === null) return;
    say(`Installing the lockfile's packages${withDev ? '' : ' (without development ones)'}: they are ${problem} …`);
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...(withDev ? [] : ['--omit=dev'])];
    // The lockfile holds versions and checksums, no addresses: npm looks each package up, and what it has cached is good enough.
    let result = await runNpm([...args, '--prefer-offline']);
    if (result.code !== 0) result = await runNpm(args);
    if (result.code !== 0) {
      const lines = result.stderr.split('\n').filter((line) => /npm (error|ERR!)/.test(line));
      const why = lines.slice(0, 3).map((line) => line.replace(/^npm (error|ERR!)\s*/, '')).join(' ');
      fail(`Packages could not be installed (npm ${args.join(' ')}): ${why || `exit code ${result.code}`}`);
    }
    const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json'))).digest('hex');
    writeFileSync(STAMP, JSON.stringify({ lock: hash }));
  });
}

/** Runs a tool silently; resolves with its exit code and what it wrote to stderr. */
function quietly(file, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'pipe'] });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => {
        child.kill(signal);
        process.exit(128 + constants.signals[signal]);
      });
    }
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', (error) => resolve({ code: -1, stderr: error.message }));
    child.on('close', (code, signal) => resolve({ code: code ?? signal, stderr }));
  });
}

function runNpm(args) {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('.js') ? quietly(process.execPath, [cli, ...args]) : quietly('npm', args);
}

async function ensureRedis() {
  if (spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0) return;
  const remedy = 'install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)';
  const hasApt = spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
  if (process.getuid?.() !== 0 || !hasApt) fail(`redis-server is not on this machine: ${remedy}, or set REDIS_URL for the tests`);
  say('Installing redis-server with apt-get …');
  // RUNLEVEL=1: the package shall not start a server of its own; this project starts the ones it needs.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = () => quietly('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'redis-server'], env);
  let result = await install();
  if (result.code !== 0) {
    await quietly('apt-get', ['update', '-q'], env);
    result = await install();
  }
  if (result.code !== 0) {
    fail(`redis-server could not be installed with apt-get (${result.stderr.trim().split('\n').at(-1)}): ${remedy}`);
  }
}

/** The lockfile's Node 24 where the platform has it, else the one that runs this. */
function nodeBinary() {
  const own = join(MODULES, '.bin', 'node');
  if (existsSync(own) && spawnSync(own, ['--version'], { stdio: 'ignore' }).status === 0) return own;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  return fail(`Node.js 24 or newer is needed on ${process.platform}-${process.arch} (this is ${process.version}): install it and try again`);
}

/** Runs one step in the foreground; resolves with its exit code. */
function runStep(node, args, env) {
  return new Promise((resolve) => {
    const child = spawn(node, args, { cwd: ROOT, stdio: 'inherit', env });
    let killer;
    const forward = (signal) => {
      stopped = true;
      // A Ctrl-C in a terminal already reached the child: it is in the same process group.
      if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
      killer ??= setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const done = (code) => {
      clearTimeout(killer);
      for (const signal of signals) process.off(signal, forward);
      resolve(code);
    };
    child.on('error', (error) => {
      say(`${node} does not start: ${error.message}`);
      done(1);
    });
    child.on('exit', (code, signal) => done(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

let stopped = false;

const [name = '', ...rest] = process.argv.slice(2);
const args = rest[0] === '--' ? rest.slice(1) : rest;
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (command === undefined) fail(`run: unknown command ${JSON.stringify(name)}; known: ${Object.keys(COMMANDS).join(' ')}`, 2);

const needsRedis = command.redis === 'own' || (command.redis === 'given' && !process.env.REDIS_URL);
await Promise.all([ensurePackages(command.dev === true), needsRedis ? ensureRedis() : null]);
const node = nodeBinary();
const env = { NODE_COMPILE_CACHE: join(MODULES, '.cache', 'compile'), ...process.env, ...command.env };
let exitCode = 0;
for (const step of command.steps) {
  if (stopped) break;
  const code = await runStep(node, [...step, ...(command.steps.length === 1 ? args : [])], env);
  if (code !== 0) exitCode ||= code;
  if (code !== 0 && command.steps.length > 1) say(`✗ ${step.join(' ')}`);
}
process.exitCode = exitCode;
