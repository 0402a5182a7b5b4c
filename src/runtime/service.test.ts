import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const at = (file: string): string => JSON.stringify(join(import.meta.dirname, file));

/** Runs a service in a process of its own; `act` gets the child once it printed READY. */
async function life(
  start: string,
  act: (child: ReturnType<typeof spawn>, out: string) => void = () => undefined,
  env: Record<string, string> = {},
) {
  const program = `
    import { runService, untilStopped } from ${at('service.ts')};
    import { loadConfig } from ${at('env.ts')};
    const known = { venue: { exchange: 'venue', wsUrl: 'wss://v.test', restUrl: 'https://v.test', defaultSymbols: [], candleResolutions: ['1m'] } };
    await runService('probe', () => loadConfig(known), async (ctx) => { ${start} });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env['PATH'] ?? '', MARKETS: 'venue', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let error = '';
  let acted = false;
  child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    if (!acted && out.includes('READY')) {
      acted = true;
      act(child, out);
    }
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, out, error };
}

const ready = `process.stdout.write('READY\\n'); await untilStopped(ctx.signal);`;

describe('runService', () => {
  it('ends on SIGTERM with everything closed, newest first, and code 0', async () => {
    const closers = `ctx.scope.own('a', () => console.log('closed a')); ctx.scope.own('b', () => console.log('closed b'));`;
    const { code, out } = await life(closers + ready, (child) => child.kill('SIGTERM'));
    expect(code).toBe(0);
    expect(out.match(/closed \w/g)).toEqual(['closed b', 'closed a']);
  });

  it('survives a second signal while it closes', async () => {
    const closer = `ctx.scope.own('a', async () => { process.kill(process.pid, 'SIGINT');
      await new Promise((r) => setTimeout(r, 50)); console.log('closed a'); });`;
    const { code, out } = await life(closer + ready, (child) => child.kill('SIGINT'));
    expect([code, out.includes('closed a')]).toEqual([0, true]);
  });

  it('ends with code 0 when a one-shot is done', async () => {
    expect((await life('')).code).toBe(0);
  });

  it.each([
    ['a rejection nobody handles', 'void Promise.reject(new Error("boom"));' + ready],
    ['a throw in a callback', 'setImmediate(() => { throw new Error("boom"); });' + ready],
    ['a failed start', 'throw new Error("boom");'],
    ['ctx.fail', 'ctx.fail(new Error("boom"));' + ready],
  ])('ends with code 1 and closes on %s', async (_name, start) => {
    const { code, out } = await life(`ctx.scope.own('a', () => console.log('closed a'));${start}`);
    expect(code).toBe(1);
    expect(out).toContain('closed a');
    expect(out).toContain('probe failed: boom');
  });

  it('refuses a bad configuration with one line and code 2', async () => {
    const { code, out, error } = await life(ready, undefined, { BATCH_MAX_ROWS: 'many' });
    expect([code, out, error]).toEqual([
      2,
      '',
      'probe: BATCH_MAX_ROWS: "many" is not a whole number from 1 to 50000\n',
    ]);
  });

  it('tells what only the start can find wrong in the same way', async () => {
    const { code, out, error } = await life(`const { UsageError } = await import(${at('../core/errors.ts')}); throw new UsageError('SIM_X: "y"');`);
    expect([code, error]).toEqual([2, 'probe: SIM_X: "y"\n']);
    expect(out).not.toContain('fatal');
  });

  it('names the variable of an address that it cannot listen on', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = String((taken.address() as AddressInfo).port);
    const { code, out, error } = await life(ready, undefined, { METRICS_PORT: port });
    taken.close();
    expect([code, out, error]).toEqual([2, '', `probe: METRICS_PORT: ${port} is taken on 127.0.0.1\n`]);
    const elsewhere = await life(ready, undefined, { METRICS_HOST: '192.0.2.1' });
    expect([elsewhere.code, elsewhere.error]).toEqual([2, 'probe: METRICS_HOST: "192.0.2.1" is no address of this machine\n']);
  });

  it('serves metrics, health and readiness', async () => {
    const probe = `
      const port = ctx.config.metrics.port;
      const get = async (path) => { const r = await fetch('http://127.0.0.1:' + port + path); return r.status + ' ' + await r.text(); };
      ctx.metrics.counter('probe_total', 'help').inc();
      console.log(await get('/readyz')); ctx.health.set('feed', true, 'fresh'); console.log(await get('/readyz'));
      ctx.health.set('feed', false, 'stale'); console.log(await get('/readyz')); console.log(await get('/healthz'));
      ctx.health.setFatal('gone'); console.log(await get('/healthz')); console.log(await get('/nowhere')); console.log(await get('/metrics'));`;
    const { freePort } = await import('../scripts/local/child.ts');
    const { out } = await life(probe, undefined, { METRICS_PORT: String(await freePort()) });
    expect(out).toContain('503 {"ready":false,"checks":{}}');
    expect(out).toContain('200 {"ready":true,"checks":{"feed":{"ok":true,"detail":"fresh"}}}');
    expect(out).toContain('503 {"ready":false,"checks":{"feed":{"ok":false,"detail":"stale"}}}');
    expect(out).toContain('200 {"ok":true,"fatal":null}');
    expect(out).toContain('503 {"ok":false,"fatal":"gone"}');
    expect(out).toContain('404 known paths');
    expect(out).toContain('probe_total{service="probe"} 1');
  });
});
