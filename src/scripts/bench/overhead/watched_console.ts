// The console beside what is measured, with somebody who looks: a page of each kind that is live.
import { freePort } from '../../local/child.ts';
import type { Service, Stage } from '../stage.ts';

export interface WatchedConsole {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Resolves once the first figures have come. */
export async function watchedConsole(stage: Stage, market: string, symbol: string): Promise<WatchedConsole> {
  const port = await freePort();
  const service: Service = await stage.service('console', { MARKETS: market, CONSOLE_PORT: String(port) });
  const of = new URLSearchParams({ market, symbol }).toString();
  const topics = ['overview', 'feeds', 'events', ...['quote', 'trades', 'candles'].map((view) => `${view}?${of}`)];
  const stop = new AbortController();
  const query = topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&');
  const response = await fetch(`http://127.0.0.1:${port}/api/live?${query}`, { signal: stop.signal });
  const begun = Promise.withResolvers<undefined>();
  const looking = (async (): Promise<void> => {
    for await (const chunk of response.body!) if (Buffer.from(chunk as Uint8Array).includes('data: ')) begun.resolve(undefined);
  })().catch((error: unknown) => begun.reject(error as Error));
  await begun.promise;
  return {
    pid: service.pid,
    async stop() {
      stop.abort();
      await looking;
      await service.stop();
    },
  };
}
