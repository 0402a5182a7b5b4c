// Everything fails, and whatever answers says aloud what it was told: no secret may be in what the services leave behind.
import { randomUUID } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { emitEvent } from '../bus/events.ts';
import type { SystemEvent } from '../contracts/index.ts';
import { freshDatabase, ownRedis, redisServerInstalled, type FreshDatabase } from '../testing/servers.ts';
import { scanKeys } from './demo/scan.ts';
import { Search, lookAtKey } from './demo/secrets.ts';
import { newCredentials } from './local/credentials.ts';
import type { LocalRedis } from './local/redis.ts';

const START = join(import.meta.dirname, 'start.ts');
/** The receiver has said all there is to say about a refused subscription after half a minute. */
const FIRST_FAILURE_MS = 60_000;
const FAILED = /"level":"(warn|error|fatal)"|"refused":[1-9]/;
const CREDENTIALS = newCredentials();
const CANARIES = {
  database: 'canary/database+pass word"1', deribit: 'canary-deribit-secret-7f3a', signal: 'canary-signal-key-19bc', webhook: 'canary-webhook-token-55de',
  token: 'canary-console-token-c41d',
};
const RISK = readFileSync(join(import.meta.dirname, '../../docs/executor.md'), 'utf8').match(/```yaml\n(# RISK_FILE[\s\S]*?)```/)?.[1] ?? '';

/** 401 for every request, with all that was asked in the answer; the same over a WebSocket, as a JSON-RPC error. */
function echo(): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const said = JSON.stringify({ error: { code: 13004, message: `refused: ${request.method} ${request.url} ${JSON.stringify(request.headers)} ${body}` } });
      response.writeHead(401, { 'content-type': 'application/json', 'x-echo': encodeURIComponent(request.url ?? '') });
      // Every other answer is cut short: what cannot be parsed must not be told either.
      response.end(request.url?.includes('instrument') === true ? said.slice(0, -5) : said);
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    socket.on('message', (data) => {
      const text = (data as Buffer).toString();
      const id = /"id":\s*(\d+)/.exec(text)?.[1] ?? '0';
      socket.send(`{"jsonrpc":"2.0","id":${id},"error":{"code":13004,"message":${JSON.stringify(`refused: ${request.url} ${text}`)}}}`);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ server, port: (server.address() as AddressInfo).port })));
}

/** What an event stream says at first. */
async function firstMessage(response: Response): Promise<string> {
  let text = '';
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk as Uint8Array).toString();
    if (/^data: .*\n\n/m.test(text)) break;
  }
  return text;
}

describe.skipIf(!redisServerInstalled())('secrets when everything fails', () => {
  let redis: LocalRedis;
  let database: FreshDatabase;
  let exchange: { server: Server; port: number };
  let folder: string;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-canary-'));
    [redis, database, exchange] = await Promise.all([ownRedis({ passwords: CREDENTIALS.redis }), freshDatabase('canary', { migrated: true }), echo()]);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    exchange.server.closeAllConnections();
    exchange.server.close();
    await Promise.all([redis.remove(), database.drop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, text: string): string {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o400, flag: 'w' });
    return join(folder, name);
  }

  /** All secrets by files; the database's password is wrong unless a right URL is given. */
  function environment(service: string, user: keyof typeof CREDENTIALS.redis, rightDatabase: boolean): Record<string, string> {
    const base = `127.0.0.1:${exchange.port}`;
    const wrong = new URL(database.url);
    wrong.username = 'tk_owner';
    wrong.password = encodeURIComponent(CANARIES.database);
    return {
      PATH: process.env['PATH'] ?? '', MARKETS: 'deribit', METRICS_PORT: '0', LOG_LEVEL: 'debug', EXECUTOR_MODE: 'paper',
      DERIBIT_WS_URL: `ws://${base}/ws/api/v2`, DERIBIT_REST_URL: `http://${base}/api/v2`, DERIBIT_CLIENT_ID: 'canary-id',
      DERIBIT_CLIENT_SECRET_FILE: file(`${service}-deribit`, CANARIES.deribit), SIGNAL_KEY_FILE: file(`${service}-signal`, CANARIES.signal),
      NOTIFY_WEBHOOK_URL_FILE: file(`${service}-webhook`, `http://${base}/hooks/${CANARIES.webhook}`), NOTIFY_MIN_SEVERITY: 'info',
      RISK_FILE: file(`${service}-risk`, RISK), KILL_FILE: join(folder, 'kill'),
      REDIS_URL_FILE: file(`${service}-redis`, redis.urlOf(user)), DATABASE_URL_FILE: file(`${service}-database`, rightDatabase ? database.url : wrong.href),
    };
  }

  /**
   * Runs a service until it has told of a failure (or ended by itself), looks at it while it lives, and ends it. `use` is done once with
   * the address of which its output tells. Resolves with its output.
   */
  async function fail(service: string, env: Record<string, string>, search: Search, use?: (url: string) => Promise<void>): Promise<string> {
    const child = spawn(process.execPath, [START, service], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    let out = '';
    const using: Promise<void>[] = [];
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FIRST_FAILURE_MS);
      const look = (chunk: unknown): void => {
        out += String(chunk);
        const url = /"url":"([^"]+)"/.exec(out)?.[1];
        if (use !== undefined && url !== undefined && using.length === 0) using.push(use(url));
        if (FAILED.test(out)) done();
      };
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('exit', done);
    });
    await Promise.all(using);
    if (child.exitCode === null) {
      for (const name of ['cmdline', 'environ']) search.look([`${name} of ${service}`, readFileSync(`/proc/${child.pid}/${name}`, 'latin1')]);
      const port = /"port":(\d+)/.exec(out)?.[1];
      for (const path of port === undefined ? [] : ['metrics', 'readyz', 'healthz']) {
        const answer = await fetch(`http://127.0.0.1:${port}/${path}`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
        if (answer !== null) search.look([`/${path} of ${service}`, await answer.text()]);
      }
      child.kill('SIGTERM');
      await new Promise((resolve) => (child.exitCode === null && child.signalCode === null ? child.once('exit', resolve) : resolve(null)));
    }
    children.delete(child);
    search.look([`output of ${service}`, out]);
    return out;
  }

  it.each([
    ['janitor', 'governor', false], ['janitor', 'governor', true], ['receiver', 'receiver', true], ['distributor', 'distributor', false],
    ['backfill', 'backfill', false], ['governor', 'governor', false], ['maintenance', 'maintenance', false], ['analyzer', 'analyzer', false],
    ['executor', 'executor', false], ['executor', 'executor', true], ['guard', 'guard', true],
  ] as const)('are nowhere: %s as %s, with the right database: %s', async (service, user, rightDatabase) => {
    const search = new Search(...Object.values(CANARIES), ...Object.values(CREDENTIALS.redis), new URL(inject('databaseUrl')).password || 'none-given');
    const out = await fail(service, environment(`${service}-${rightDatabase}`, user, rightDatabase), search);
    expect(out, 'it failed, and said so').toMatch(FAILED);
    expect(search.found).toEqual([]);
  }, 120_000);

  it('are nowhere: the console, whatever it is asked, with and without its token', async () => {
    const search = new Search(...Object.values(CANARIES), ...Object.values(CREDENTIALS.redis));
    const env = { ...environment('console', 'console', false), CONSOLE_PORT: '0', CONSOLE_TOKEN_FILE: file('console-token', CANARIES.token) };
    const views = ['overview', 'feeds', 'completeness', 'instruments', 'events', 'dlq', 'trading', ...['quote', 'trades', 'candles', 'gaps']
      .map((view) => `${view}?market=deribit&symbol=BTC-PERPETUAL${view === 'gaps' ? '&day=2026-11-01' : ''}`)];
    const paths = ['/', '/market', '/trading', '/assets/main.ts', '/assets/login/main.ts', '/api/session', '/nowhere', '/api/overview?x=1',
      ...views.map((view) => `/api/${view}`)];
    const statuses = new Set<number>();
    const ask = async (url: string): Promise<void> => {
      const lives = views.map((view) => `topic=${encodeURIComponent(view)}`).join('&');
      for (const authorization of [`Bearer ${CANARIES.token}`, 'Bearer another-token-of-letters', undefined]) {
        for (const path of [...paths, `/api/live?${lives}`]) {
          const response = await fetch(url + path, { headers: authorization === undefined ? {} : { authorization } });
          statuses.add(response.status);
          const isLive = response.headers.get('content-type') === 'text/event-stream';
          const body = isLive ? await firstMessage(response) : await response.text();
          search.look([`${path} of the console`, `${JSON.stringify([...response.headers])} ${body}`]);
        }
      }
    };
    const out = await fail('console', env, search, ask);
    expect([...statuses].sort()).toEqual([200, 400, 401, 404, 503]);
    expect(out).toContain('cannot be shown');
    expect(search.places).toBeGreaterThan(3 * paths.length);
    expect(search.found).toEqual([]);
  }, 120_000);

  it('are nowhere: the notifier whose receiver refuses, and what all of them left in Redis', async () => {
    const client = new Redis(redis.url);
    const search = new Search(...Object.values(CANARIES), ...Object.values(CREDENTIALS.redis));
    const env = environment('notifier', 'notifier', true);
    const running = fail('notifier', env, search);
    // What comes before its group is not told: events come until one was refused.
    const timer = setInterval(() => {
      const event: SystemEvent = { event_id: randomUUID(), type: 'service.started', severity: 'critical', ts: 1_790_000_000_000_000, data: {} };
      emitEvent(client, event).catch(() => undefined);
    }, 300);
    const out = await running;
    clearInterval(timer);
    expect(out).toMatch(/"level":"(warn|error)"/);
    const keys = await scanKeys(client, '*');
    for (const key of keys) await lookAtKey(search, client, key);
    client.disconnect();
    expect(keys.length).toBeGreaterThan(0);
    expect(search.found).toEqual([]);
  }, 120_000);
});
