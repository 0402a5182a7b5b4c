// /metrics, /healthz and /readyz of one process, on loopback or the Compose network.
import { createServer, type Server } from 'node:http';
import { cannotListen } from '../core/errors.ts';
import type { Metrics } from './metrics.ts';

export interface Check {
  ok: boolean;
  detail: string;
}

/** Named readiness checks. A process is ready when it has at least one and all are ok; it is healthy while its event loop answers. */
export class Health {
  readonly #checks = new Map<string, Check>();
  #fatal: string | null = null;

  set(name: string, ok: boolean, detail = ''): void {
    this.#checks.set(name, { ok, detail });
  }

  /** The process cannot recover by itself: /healthz fails and the supervisor restarts it. */
  setFatal(reason: string): void {
    this.#fatal = reason;
  }

  get fatal(): string | null {
    return this.#fatal;
  }

  get ready(): boolean {
    return this.#fatal === null && this.#checks.size > 0 && [...this.#checks.values()].every((check) => check.ok);
  }

  report(): Record<string, Check> {
    return Object.fromEntries(this.#checks);
  }
}

/**
 * Starts the HTTP server; port 0 picks a free one. Resolves with the server and the port it listens on; rejects with a
 * UsageError that names the variable when the address cannot be had.
 */
export function serveHealth(options: { port: number; host: string; metrics: Metrics; health: Health }): Promise<{ server: Server; port: number }> {
  const { metrics, health } = options;
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    };
    const path = (request.url ?? '/').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'text/plain', 'GET only\n');
    switch (path) {
      case '/metrics':
        metrics.registry.metrics().then(
          (text) => answer(200, metrics.registry.contentType, text),
          (error: unknown) => answer(500, 'text/plain', `${String(error)}\n`),
        );
        return;
      case '/healthz':
        return answer(health.fatal === null ? 200 : 503, 'application/json', JSON.stringify({ ok: health.fatal === null, fatal: health.fatal }));
      case '/readyz':
        return answer(health.ready ? 200 : 503, 'application/json', JSON.stringify({ ready: health.ready, checks: health.report() }));
      default:
        return answer(404, 'text/plain', 'known paths: /metrics /healthz /readyz\n');
    }
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen('METRICS', options.host, options.port, error)));
    server.listen(options.port, options.host, () => {
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : options.port });
    });
  });
}
