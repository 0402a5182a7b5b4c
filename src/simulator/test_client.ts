// For this folder's tests: a clock that stands until it is moved, a simulator on it, and a WebSocket client that collects.
import { WebSocket } from 'ws';
import type { Clock } from '../core/clock.ts';
import { startSimulator, type Simulator, type SimulatorOptions } from './server.ts';

/** Tuesday 2026-11-24 04:00:30 UTC, so that no candle boundary is near by chance. */
const START_US = 1_795_492_830_000_000;

export class ManualClock implements Clock {
  #ms = 0;

  nowMicros(): number {
    return START_US + this.#ms * 1000;
  }

  monotonicMs(): number {
    return this.#ms;
  }

  move(ms: number): void {
    this.#ms += ms;
  }
}

export interface Bench {
  readonly simulator: Simulator;
  readonly clock: ManualClock;
  /** Moves time on in ticks of 10 ms. */
  run(ms: number): void;
  connect(path: string, options?: { autoPong?: boolean }): Promise<Client>;
  get(path: string, headers?: Record<string, string>): Promise<{ status: number; headers: Headers; body: string }>;
  post(path: string, body: unknown): Promise<{ status: number; body: string }>;
  close(): Promise<void>;
}

/** A simulator whose time only passes in run(). */
export async function startBench(options: Partial<SimulatorOptions> = {}): Promise<Bench> {
  const clock = new ManualClock();
  const simulator = await startSimulator({ port: 0, seed: 11, rate: 500, history: 20, clock, autoTick: false, ...options });
  const clients: Client[] = [];
  return {
    simulator,
    clock,
    run: (ms) => {
      for (let done = 0; done < ms; done += 10) {
        clock.move(10);
        simulator.step(10);
      }
    },
    connect: async (path, socketOptions) => {
      const client = await connect(simulator.url.replace('http', 'ws') + path, socketOptions);
      clients.push(client);
      return client;
    },
    get: async (path, headers) => {
      const response = await fetch(simulator.url + path, { headers: headers ?? {} });
      return { status: response.status, headers: response.headers, body: await response.text() };
    },
    post: async (path, body) => {
      const response = await fetch(simulator.url + path, { method: 'POST', body: JSON.stringify(body) });
      return { status: response.status, body: await response.text() };
    },
    close: async () => {
      for (const client of clients) client.socket.terminate();
      await simulator.close();
    },
  };
}

export interface Frame {
  text: string;
  binary: boolean;
}

export class Client {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  /** Set when the socket has closed. */
  closed: { code: number; reason: string } | null = null;
  #wake: (() => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, binary: boolean) => {
      this.frames.push({ text: data.toString('utf8'), binary });
      this.#notify();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#notify();
    });
    socket.on('error', () => undefined);
  }

  get texts(): string[] {
    return this.frames.map((frame) => frame.text);
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** Waits until `look` finds something among what came (or the end of the socket). */
  async until<T>(look: (client: Client) => T | undefined | false | null): Promise<T> {
    for (;;) {
      const found = look(this);
      if (found !== undefined && found !== false && found !== null) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** The first frame, among those after `from`, whose text matches. */
  frame(pattern: RegExp, from = 0): Promise<string> {
    return this.until((client) => client.texts.slice(from).find((text) => pattern.test(text)));
  }

  /** Everything the server wrote before now has arrived when this resolves. */
  async barrier(): Promise<void> {
    // The outbox writes in the next check phase, which may be the one after this.
    for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    const payload = `b${this.frames.length}`;
    const pong = new Promise<void>((resolve) => {
      const listen = (data: Buffer): void => {
        if (data.toString() !== payload) return;
        this.socket.off('pong', listen);
        resolve();
      };
      this.socket.on('pong', listen);
    });
    this.socket.ping(payload);
    await pong;
  }

  async end(): Promise<{ code: number; reason: string }> {
    return this.until((client) => client.closed);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const go of wake) go();
  }
}

async function connect(url: string, options: { autoPong?: boolean } = {}): Promise<Client> {
  const socket = new WebSocket(url, { perMessageDeflate: false, ...options });
  const client = new Client(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  return client;
}

/** A JSON-RPC request's text. */
export const rpc = (id: number, method: string, params: object = {}): string => JSON.stringify({ jsonrpc: '2.0', id, method, params });

/** The answer to JSON-RPC request `id`. */
export async function answerTo(
  client: Client,
  id: number,
): Promise<Record<string, unknown> & { result?: unknown; error?: { code: number; message: string; data?: unknown } }> {
  return JSON.parse(await client.frame(new RegExp(`^\\{"jsonrpc":"2.0","id":${id},`))) as Record<string, unknown>;
}
