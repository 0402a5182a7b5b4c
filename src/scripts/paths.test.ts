// Paths of the command line are those of the folder that npm was called from.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, it } from 'vitest';

// Without the project's name: it is the default password too, and logs do not show it.
const folder = mkdtempSync(join(tmpdir(), 'test-paths-'));
afterAll(() => rmSync(folder, { recursive: true }));

const env = { PATH: process.env['PATH'] ?? '', INIT_CWD: folder, METRICS_PORT: '0' };
const script = (name: string): string => join(import.meta.dirname, name);

it.each([
  ['start.ts', ['simulator', '--port', '0', '--replay', 'none'], 'SIM_REPLAY: cannot read the folder', 'none'],
  ['start.ts', ['simulator', '--port', '0', '--ledger', 'none/ledger.ndjson'], 'SIM_LEDGER: cannot write', 'none/ledger.ndjson'],
  ['bench.ts', ['normalise', '--frames', 'none'], '--frames:', 'none'],
])('%s %j names the file it did not find', (name, args, message, path) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script(name), ...args], { encoding: 'utf8', cwd: '/', env });
  expect([status, stdout + stderr]).toEqual([2, expect.stringContaining(`${message} ${join(folder, path)}`)]);
});

it('the simulator writes its ledger there', async () => {
  const child = spawn(process.execPath, [script('start.ts'), 'simulator', '--port', '0', '--ledger', 'ledger.ndjson'], { cwd: '/', env });
  const exited = once(child, 'exit');
  for await (const line of createInterface(child.stdout)) if (line.includes('"exchange simulator"')) child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(existsSync(join(folder, 'ledger.ndjson'))).toBe(true);
});
