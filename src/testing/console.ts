// A console inside the test's own process, on a port of its own.
import { start } from '../services/console/main.ts';
import { runInProcess, until, type RunningReceiver } from './receiver.ts';

export interface RunningConsole {
  readonly url: string;
  readonly process: RunningReceiver;
  /** GET; the answer's status, body and headers. */
  get(path: string, headers?: Record<string, string>): Promise<{ status: number; body: unknown; text: string; headers: Headers }>;
}

/** Resolves when it listens. */
export async function openConsole(env: Record<string, string>): Promise<RunningConsole> {
  const running = await runInProcess('console', start, { CONSOLE_PORT: '0', ...env });
  await until(() => running.health.ready);
  const url = running.health.report()['listening']!.detail;
  return {
    url, process: running,
    get: async (path, headers = {}) => {
      const response = await fetch(`${url}${path}`, { headers });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, text, headers: response.headers, body: isJson ? JSON.parse(text) as unknown : null };
    },
  };
}
