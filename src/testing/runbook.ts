// Runbooks are executed: the commands in a document's sh blocks are what its test runs, word for word but for the placeholders,
// against the servers of the test. What stands in the prose is for people and is not run.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export interface Ran {
  command: string;
  code: number | null;
  /** stdout and stderr as they came. */
  out: string;
}

/** A command that goes on until it is stopped. */
export interface Following {
  /** Resolves with all output once it holds `text`; rejects when the command ends before. */
  until(text: string): Promise<string>;
  stop(): Promise<void>;
}

/** Every command of the document's sh blocks, in order; continued lines are one command, lines of comment are none. */
export function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^( *)```sh\n([\s\S]*?)^\1```/gm)].map(([, , body = '']) => body);
  return blocks.flatMap((body) => body.split(/(?<!\\)\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#')));
}

/** The commands of one document, run in the order of the test. */
export class Runbook {
  readonly commands: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-runbook-'));
  readonly #ran = new Set<number>();
  readonly #children = new Set<ChildProcess>();

  /** `name` is the document's file in docs/runbooks; `env` leads to the test's servers (REDIS_URL, DATABASE_URL, MARKETS, …). */
  constructor(name: string, env: Readonly<Record<string, string>>) {
    this.commands = commandsOf(readFileSync(join(ROOT, 'docs/runbooks', name), 'utf8'));
    this.#env = { ...env, HOME: process.env['HOME'] ?? this.#folder, PATH: this.#path() };
  }

  /** Commands of the document that the test has not run. */
  get left(): string[] {
    return this.commands.filter((_command, i) => !this.#ran.has(i));
  }

  /**
   * Runs the first command not run yet that begins with `start`, its placeholders (`<id>`, a file's name) replaced by `values`;
   * `env` says what leads elsewhere than usual.
   */
  async run(start: string, values: Readonly<Record<string, string>> = {}, env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const command = this.#next(start, values);
    const child = this.#spawn(command, env);
    const out = collect(child);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { command, code, out: out() };
  }

  /** Starts a command that does not end by itself. */
  follow(start: string, values: Readonly<Record<string, string>> = {}): Following {
    const child = this.#spawn(this.#next(start, values));
    const out = collect(child);
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    return {
      until: (text) => new Promise((resolve, reject) => {
        const look = (): void => {
          if (out().includes(text)) resolve(out());
        };
        look();
        child.stdout?.on('data', look);
        void gone.then(() => reject(new Error(`ended without saying ${text}: ${out()}`)));
      }),
      stop: async () => {
        endGroup(child);
        await gone;
      },
    };
  }

  /** Ends what still runs. */
  close(): void {
    for (const child of this.#children) endGroup(child);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #next(start: string, values: Readonly<Record<string, string>>): string {
    const at = this.commands.findIndex((command, i) => !this.#ran.has(i) && command.startsWith(start));
    const written = this.commands[at];
    if (written === undefined) throw new Error(`the runbook has no (further) command ${start}; left: ${this.left.join(' | ')}`);
    this.#ran.add(at);
    const command = Object.entries(values).reduce((text, [name, value]) => text.replaceAll(name, value), written);
    const open = /<[a-z_]+>/.exec(command)?.[0];
    if (open !== undefined) throw new Error(`${command}: no value for ${open}`);
    return command;
  }

  #spawn(command: string, env: Readonly<Record<string, string>> = {}): ChildProcess {
    // A group of its own: a command that is stopped takes what it has started along.
    const child = spawn('sh', ['-c', command], { cwd: ROOT, env: { ...this.#env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /** redis-cli leads to the test's Redis without another word; psql is the driver's where there is none. */
  #path(): string {
    const real = spawnSync('sh', ['-c', 'command -v redis-cli'], { encoding: 'utf8' }).stdout.trim();
    this.#tool('redis-cli', `exec ${real === '' ? '/usr/bin/redis-cli' : real} -u "$REDIS_URL" "$@"`);
    if (!installed('psql')) {
      process.stdout.write('psql is not on this machine: its -c is run through the driver (Debian, Ubuntu: apt-get install postgresql-client)\n');
      const program = `const pg = require('pg'); const c = new pg.Client(process.argv[2]); c.connect().then(() => c.query(process.argv[3]))
        .then((r) => { for (const row of r.rows) process.stdout.write(Object.values(row).join(' | ') + '\\n'); return c.end(); })
        .catch((e) => { process.stderr.write(e.message + '\\n'); process.exit(1); });`;
      const file = join(this.#folder, 'psql.cjs');
      writeFileSync(file, program.replace(`require('pg')`, `require(${JSON.stringify(join(ROOT, 'node_modules/pg'))})`));
      this.#tool('psql', `exec node ${file} "$1" "$3"`);
    }
    return [this.#folder, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  }

  #tool(name: string, line: string): void {
    const file = join(this.#folder, name);
    writeFileSync(file, `#!/bin/sh\n${line}\n`);
    chmodSync(file, 0o755);
  }
}

const installed = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += String(chunk)));
  return () => text;
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  } catch {
    // it has ended already
  }
}
