import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { createHttp, ExchangeHttpError, type HttpOptions } from './http.ts';

const clock = { nowMicros: () => Date.UTC(2026, 0, 1) * 1000, monotonicMs: () => 0 };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/path?signature=canary`;
}

async function failure(handler: RequestListener, options: Partial<HttpOptions> = {}): Promise<ExchangeHttpError> {
  const url = await serve(handler);
  const error = await createHttp({ timeoutMs: 5000, maxBytes: 10_000, clock, ...options })(url).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(ExchangeHttpError);
  expect(String((error as Error).stack)).not.toContain('canary');
  return error as ExchangeHttpError;
}

it('returns the text of a good answer and shows its headers', async () => {
  const url = await serve((_request, response) =>
    response.writeHead(200, { 'x-mbx-used-weight-1m': '42' }).end('{"a":1.10}'),
  );
  const weights: (string | null)[] = [];
  const get = createHttp({
    timeoutMs: 5000,
    maxBytes: 10_000,
    clock,
    onHeaders: (headers) => weights.push(headers.get('x-mbx-used-weight-1m')),
  });
  expect(await get(url)).toBe('{"a":1.10}');
  expect(weights).toEqual(['42']);
});

it('sorts refusals, with the exchange’s code and the time to wait', async () => {
  const say =
    (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
    (_request, response) =>
      response.writeHead(status, headers).end(body);
  expect(await failure(say(429, '{"code":-1003,"msg":"slow"}', { 'retry-after': '11' }))).toMatchObject({
    kind: 'rate_limited',
    status: 429,
    code: -1003,
    retryAfterMs: 11_000,
  });
  expect(await failure(say(418, '{}', { 'retry-after': 'Thu, 01 Jan 2026 00:02:00 GMT' }))).toMatchObject({
    kind: 'banned',
    retryAfterMs: 120_000,
  });
  expect(await failure(say(400, '{"error":{"code":10009,"message":"no"}}'))).toMatchObject({
    kind: 'refused',
    code: 10009,
  });
  expect(await failure(say(403, '<html>'))).toMatchObject({ kind: 'banned' });
  expect(await failure(say(403, '{"code":-2015}'))).toMatchObject({ kind: 'refused' });
  expect(await failure(say(503, 'Unknown error'))).toMatchObject({ kind: 'server', code: null, body: 'Unknown error' });
  expect(await failure(say(302, '', { location: 'http://127.0.0.1:1/' }))).toMatchObject({
    kind: 'refused',
    status: 302,
  });
});

it('takes no page of HTML, empty or cut body for an answer', async () => {
  const say =
    (body: string): RequestListener =>
    (_request, response) =>
      response.writeHead(200).end(body);
  expect(await failure(say('<html>maintenance</html>'))).toMatchObject({ kind: 'malformed' });
  expect(await failure(say(''))).toMatchObject({ kind: 'malformed' });
  expect(await failure(say('[{"id":1},{"id"'))).toMatchObject({ kind: 'malformed' });
  expect(await failure(say(`[${'1,'.repeat(10_000)}1]`))).toMatchObject({ kind: 'malformed' });
  const cut: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"a":1}');
    setImmediate(() => response.destroy());
  };
  expect(await failure(cut)).toMatchObject({ kind: 'network' });
});

it('has a deadline over the whole answer, not only its beginning', async () => {
  const drip: RequestListener = (_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => clearInterval(timer));
  };
  const error = await failure(drip, { timeoutMs: 150 });
  expect(error.kind).toBe('network');
  expect(error.message).toContain('within 150 ms');
});

it('tells a refused connection as the network’s', async () => {
  const get = createHttp({ timeoutMs: 5000, maxBytes: 100, clock });
  await expect(get('http://127.0.0.1:1/x')).rejects.toMatchObject({ kind: 'network', status: 0 });
});
