// Server-sent events: what a page watches goes out in at most ten messages a second, however much happens. A reader that is slow gets
// the newest state later, and nothing is queued for it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Refusal, type Hub, type Reading } from './hub.ts';
import type { ConsoleMetrics } from './metrics.ts';

const FLUSH_MS = 100;
const PING_MS = 15_000;
const MAX_CLIENTS = 64;
export const MAX_TOPICS = 24;
/** More than this unsent in the socket: the page does not keep up. */
const BACKLOG_BYTES = 256 * 1024;

/** `quote?market=m&symbol=s` as a view's name and its parameters. */
function topicOf(topic: string): { name: string; query: Record<string, string> } {
  const at = topic.indexOf('?');
  return at < 0 ? { name: topic, query: {} } : { name: topic.slice(0, at), query: Object.fromEntries(new URLSearchParams(topic.slice(at + 1))) };
}

type LiveMetrics = Pick<ConsoleMetrics, 'updates' | 'bytes' | 'late'>;

class Client {
  readonly #metrics: LiveMetrics;
  readonly #response: ServerResponse;
  /** By topic, as JSON. */
  readonly #waiting = new Map<string, string>();
  readonly #leave: (() => void)[] = [];
  readonly #ping: NodeJS.Timeout;
  #flush: NodeJS.Timeout | null = null;
  #begun = false;

  constructor(response: ServerResponse, metrics: LiveMetrics) {
    this.#metrics = metrics;
    this.#response = response;
    this.#ping = setInterval(() => this.#write(':\n\n'), PING_MS);
  }

  watch(topic: string, listen: (listener: (reading: Reading) => void) => () => void): void {
    const name = JSON.stringify(topic);
    this.#leave.push(listen(({ text }) => {
      this.#waiting.set(name, text);
      // The first view is waited for; what follows it is gathered.
      this.#flush ??= setTimeout(() => this.#send(), this.#begun ? FLUSH_MS : 0);
    }));
  }

  close(): void {
    clearInterval(this.#ping);
    if (this.#flush !== null) clearTimeout(this.#flush);
    for (const leave of this.#leave.splice(0)) leave();
    this.#response.end();
  }

  #send(): void {
    this.#flush = null;
    this.#begun = true;
    if (this.#response.writableLength > BACKLOG_BYTES) {
      this.#metrics.late.inc();
      this.#flush = setTimeout(() => this.#send(), FLUSH_MS);
      return;
    }
    // Each answer is JSON already, made once for all who watch it.
    const message = `data: {${[...this.#waiting].map(([name, text]) => `${name}:${text}`).join(',')}}\n\n`;
    this.#waiting.clear();
    this.#write(message);
    this.#metrics.updates.inc();
    this.#metrics.bytes.inc(Buffer.byteLength(message));
  }

  #write(text: string): void {
    if (!this.#response.writableEnded) this.#response.write(text);
  }
}

export class Live {
  readonly #hub: Hub;
  readonly #metrics: LiveMetrics;
  readonly #clients = new Set<Client>();

  constructor(hub: Hub, metrics: LiveMetrics) {
    this.#hub = hub;
    this.#metrics = metrics;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Throws Refusal before anything is written when a topic is not right. */
  open(topics: readonly string[], request: IncomingMessage, response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    if (topics.length === 0 || topics.length > MAX_TOPICS) {
      throw new Refusal(400, 'bad_parameter', `topic: 1 to ${MAX_TOPICS} are needed, got ${topics.length}`);
    }
    if (this.#clients.size >= MAX_CLIENTS) throw new Refusal(503, 'too_many_pages', `${MAX_CLIENTS} pages are open already`);
    const channels = topics.map((topic) => {
      const { name, query } = topicOf(topic);
      return { topic, channel: this.#hub.channel(name, query) };
    });
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    response.write('retry: 2000\n\n');
    const client = new Client(response, this.#metrics);
    this.#clients.add(client);
    const leave = (): void => {
      this.#clients.delete(client);
      client.close();
    };
    request.on('close', leave);
    response.on('close', leave);
    response.on('error', leave);
    for (const { topic, channel } of channels) client.watch(topic, (listener) => channel.listen(listener));
  }

  close(): void {
    for (const client of this.#clients) client.close();
    this.#clients.clear();
  }
}
