// The whole fleet as its users start it: checked against the ledger under faults, and gone without a trace afterwards.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { redisServerInstalled } from '../../testing/servers.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { schedule, scheduleHash } from './chaos.ts';
import type { Report } from './run.ts';

const RUN = join(import.meta.dirname, '../run.mjs');
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-demo-'));
  folders.push(folder);
  return folder;
}

/** Living processes whose command line or environment names the folder or its servers. */
function processesOf(folder: string): string[] {
  const file = join(folder, 'connect.env');
  // A fleet that was refused early has not told where its servers are.
  const urls = (existsSync(file) ? readFileSync(file, 'utf8') : '').split('\n').map((line) => line.split('=')[1] ?? '');
  const needles = [folder, ...urls].filter((needle) => needle !== '');
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
      return needles.some((needle) => text.includes(needle)) ? [`${pid} ${readFileSync(`/proc/${pid}/comm`, 'latin1').trim()}`] : [];
    } catch {
      return [];
    }
  });
}

function demo(folder: string, ...args: string[]): ReturnType<typeof spawn> {
  return spawn(process.execPath, [RUN, 'demo', '--data', folder, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Resolves when the child's output holds `what`; goes on reading, as a terminal does. */
function untilSaid(child: ReturnType<typeof spawn>, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        said += String(chunk);
        if (said.includes(what)) resolve();
      });
    }
    child.once('close', () => reject(new Error(`ended without saying ${what}: ${said}`)));
  });
}

describe.skipIf(!redisServerInstalled() || process.platform !== 'linux')('npm run demo', () => {
  it('keeps every promise under faults, and reports it', async () => {
    const folder = dataFolder();
    const report = join(folder, 'report.json');
    const child = demo(folder, '--duration', '12', '--seed', '11', '--report', report);
    child.stdout?.resume();
    const [code] = (await once(child, 'exit')) as [number];
    const told = JSON.parse(readFileSync(report, 'utf8')) as Report;
    expect(told.invariants.filter(({ ok }) => !ok)).toEqual([]);
    expect(told.faults.filter(({ problem }) => problem !== null)).toEqual([]);
    expect(told.invariants.find(({ name }) => name === 'no_loss')?.figures['stored']).toBeGreaterThan(500);
    expect(told.restarts['receiver']).toBe(1);
    expect(told.invariants.map(({ number }) => number)).toEqual([1, 2, 2, 3, 4, 5, 5, 5, 6, 12, 14, 16, 17, 18, 18, 20, 21, 22]);
    expect(told.schedule_hash).toBe(scheduleHash(schedule(11, Object.keys(MARKETS), 12)));
    expect(code).toBe(0);
    expect(processesOf(folder)).toEqual([]);
  }, 120_000);

  it('refuses with one line what cannot work', () => {
    const folder = dataFolder();
    const told = (args: string[], over: Record<string, string> = {}): { status: number | null; stderr: string } =>
      spawnSync(process.execPath, [RUN, 'demo', '--data', folder, '--duration', '4', ...args], { encoding: 'utf8', env: { ...process.env, ...over } });
    const report = join(folder, 'none', 'report.json');
    expect(told(['--report', report])).toMatchObject({ status: 2, stderr: expect.stringMatching(`^--report: cannot write ${report}: .*\n$`) as string });
    expect(told([], { MARKETS: 'krakn' })).toMatchObject({ status: 2, stderr: expect.stringMatching(/^MARKETS: unknown market krakn.*\n$/) as string });
    const unlisted = told(['--symbols', 'deribit:NOPE,deribit:BTC-PERPETUAL']);
    expect(unlisted).toMatchObject({ status: 2, stderr: expect.stringMatching(/^symbols .* does not list: deribit:NOPE\n$/) as string });
    expect(processesOf(folder)).toEqual([]);
  }, 60_000);

  it('ends everything on Ctrl-C, also on kill -9, and refuses a folder in use', async () => {
    const folder = dataFolder();
    const first = demo(folder);
    await untilSaid(first, 'first committed rows');
    expect(spawnSync(process.execPath, [RUN, 'demo', '--data', folder], { encoding: 'utf8' }).stderr).toContain('is in use by process');
    first.kill('SIGINT');
    expect((await once(first, 'exit'))[0]).toBe(0);
    expect(processesOf(folder)).toEqual([]);

    const second = demo(folder);
    await untilSaid(second, 'first committed rows');
    expect(processesOf(folder).length).toBeGreaterThan(5);
    const children = readFileSync(`/proc/${second.pid}/task/${second.pid}/children`, 'utf8').trim().split(' ');
    process.kill(Number(children[0]), 'SIGKILL');
    expect((await once(second, 'exit'))[0]).toBe(137);
    await expect.poll(() => processesOf(folder), { timeout: 15_000 }).toEqual([]);
  }, 120_000);
});
