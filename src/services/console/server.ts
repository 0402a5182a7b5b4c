// The web server: GET only, everything checked, nothing inline. What is wrong is answered with 4xx and one line of JSON.
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { toError } from '../../core/errors.ts';
import type { Access } from './access.ts';
import type { Asset } from './assets.ts';
import { Refusal, type Hub } from './hub.ts';
import type { Live } from './live.ts';
import type { ConsoleMetrics } from './metrics.ts';

export const PAGES = ['/', '/feeds', '/completeness', '/market', '/events', '/dlq', '/trading'] as const;
/** Without a token: what the form that asks for it is made of. */
const OPEN = ['/assets/style.css', '/assets/icon.svg', '/assets/login/main.ts'];
const MAX_URL = 4_096;

/** No inline script or style, no other origin, no frame. */
const SECURITY: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin',
};

export interface ServerParts {
  readonly access: Access;
  readonly assets: ReadonlyMap<string, Asset>;
  readonly hub: Hub;
  readonly live: Live;
  readonly metrics: Pick<ConsoleMetrics, 'requests' | 'latency'>;
}

const refusal = (code: string, message: string): { error: { code: string; message: string } } => ({ error: { code, message } });

/** The server, not listening yet. */
export function createServer({ access, assets, hub, live, metrics }: ServerParts): FastifyInstance {
  const app = fastify({
    bodyLimit: 1_024, routerOptions: { maxParamLength: 200 }, requestTimeout: 10_000, forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) => {
      void (reply as FastifyReply).status(400).headers(SECURITY).send(refusal('bad_request', error.message));
    },
    clientErrorHandler: (error, socket) => {
      const body = JSON.stringify(refusal('bad_request', error.code === 'HPE_HEADER_OVERFLOW' ? 'the request is too long' : 'this is no HTTP request'));
      const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
      const head = [`HTTP/1.1 ${status}`, 'content-type: application/json', `content-length: ${body.length}`, 'connection: close', '', ''];
      if (socket.writable) socket.end(head.join('\r\n') + body);
    },
  });
  app.addHook('onRequest', (request, reply, done) => {
    void reply.headers(SECURITY).header('cache-control', 'no-store');
    const early = refuseEarly(request, access);
    if (early === null) done();
    else if (early.status === 401 && wantsPage(request)) void sendAsset(request, reply.status(401), assets.get('login/index.html')!);
    else void reply.status(early.status).send(refusal(early.code, early.message));
  });
  app.addHook('onResponse', (request, reply, done) => {
    const kind = kindOf(request);
    metrics.requests.inc({ kind, status: String(reply.statusCode) });
    metrics.latency.observe({ kind }, reply.elapsedTime / 1000);
    done();
  });
  app.setErrorHandler((error: FastifyError | Refusal, _request, reply) => {
    if (error instanceof Refusal) return reply.status(error.status).send(refusal(error.code, error.message));
    const status = error.statusCode !== undefined && error.statusCode < 500 ? error.statusCode : 500;
    return reply.status(status).send(refusal(status === 500 ? 'failed' : 'bad_request', toError(error).message));
  });
  app.setNotFoundHandler((request, reply) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return reply.status(405).header('allow', 'GET, HEAD').send(refusal('read_only', `${request.method}: the console only reads; GET is all it knows`));
    }
    return reply.status(404).send(refusal('not_found', `${pathOf(request).slice(0, 200)}: there is no such page`));
  });
  for (const page of PAGES) app.get(page, (request, reply) => sendAsset(request, reply, assets.get('index.html')!));
  app.get('/assets/*', (request, reply) => {
    const asset = assets.get((request.params as { '*': string })['*']);
    if (asset === undefined) throw new Refusal(404, 'not_found', `${pathOf(request).slice(0, 200)}: there is no such file`);
    return sendAsset(request, reply, asset);
  });
  // A browser shows the token once and keeps the cookie, which scripts cannot read.
  app.get('/api/session', (_request, reply) => (access.needsToken ? reply.header('set-cookie', access.cookie) : reply).send({ ok: true }));
  app.get('/api/live', (request, reply) => {
    const { topic = [] } = request.query as { topic?: string | string[] };
    live.open([topic].flat(), request.raw, reply.raw, SECURITY);
    // It has no end that a hook would be told of.
    metrics.requests.inc({ kind: 'live', status: '200' });
    reply.hijack();
  });
  app.get('/api/:view', async (request, reply) => {
    const { view } = request.params as { view: string };
    const { text, status } = await hub.channel(view, request.query as Record<string, unknown>).current();
    return reply.status(status).type('application/json').send(text);
  });
  return app;
}

const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '/';

/** By the route, so that what anybody asks for makes no series of its own. */
function kindOf(request: FastifyRequest): string {
  const route = request.routeOptions.url;
  if (route === undefined) return 'other';
  if (route === '/assets/*') return 'asset';
  if (route === '/api/live') return 'live';
  return route.startsWith('/api/') ? 'view' : 'page';
}

const wantsPage = (request: FastifyRequest): boolean => (request.headers.accept ?? '').includes('text/html');

function refuseEarly(request: FastifyRequest, access: Access): { status: number; code: string; message: string } | null {
  if (request.url.length > MAX_URL) return { status: 414, code: 'too_long', message: `the address has ${request.url.length} characters, at most ${MAX_URL}` };
  if (OPEN.includes(pathOf(request))) return null;
  const { authorization, cookie, host } = request.headers;
  return access.refuse({ authorization, cookie, host });
}

function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset): FastifyReply {
  // Asked again each time, and answered by 304: a new build shows at once.
  void reply.header('cache-control', 'no-cache').header('etag', asset.etag).header('vary', 'accept-encoding').type(asset.type);
  if (request.headers['if-none-match'] === asset.etag) return reply.status(304).send();
  const zipped = (request.headers['accept-encoding'] ?? '').includes('gzip');
  return zipped ? reply.header('content-encoding', 'gzip').send(asset.gzipped) : reply.send(asset.body);
}
