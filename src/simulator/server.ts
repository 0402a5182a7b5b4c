// The simulator: one HTTP server with a base per venue and /control, the engine, the ledger. Everything that is opened here
// is closed by close().
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Socket, type AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Clock } from '../core/clock.ts';
import { cannotListen } from '../core/errors.ts';
import { Actions } from './actions.ts';
import { Connection, Outbox } from './connection.ts';
import { handleControl } from './control.ts';
import { Engine } from './engine.ts';
import { Faults, type Fault, type FaultRequest } from './faults.ts';
import { answer } from './http.ts';
import { openLedger, type Ledger } from './ledger.ts';
import { Player } from './player.ts';
import { Prng, hashText } from './prng.ts';
import { readRecordings } from './recording.ts';
import { FaultSchedule } from './schedule.ts';
import { createVenues } from './venues.ts';
import { REAL_TIMING, type HttpExchange, type Timing, type Venue, type World } from './world.ts';

export interface SimulatorOptions {
  /** 0 picks a free port. */
  port: number;
  host?: string;
  seed: number;
  /** NDJSON file of the ledger; null or absent: memory only. */
  ledgerPath?: string | null;
  /** Folder of recordings to play back beside the generated markets. */
  replayDir?: string | null;
  speed?: number;
  /** Begin a recording again when it is over and heard again. */
  loop?: boolean;
  /** Only these symbols trade; all exist. */
  symbols?: readonly string[];
  /** Generated trades per second over all markets; 200 when absent. */
  rate?: number;
  clock: Clock;
  /** Chance of faults; seeded when absent. */
  random?: () => number;
  log?: { info(fields: object, message: string): void; error(fields: object, message: string): void };
  /** Called when the ledger cannot be written: nothing is sent any more, since nothing may be sent that is not in it. */
  onFail?: (error: unknown) => void;
  /** Rate, connection and stream limits are enforced (default). */
  limits?: boolean;
  timing?: Partial<Timing>;
  /** Trades of each market before the start; 200 when absent. */
  history?: number;
  /** Trades of each market kept for REST; 200,000 when absent. */
  keep?: number;
  /** `random`: a seeded schedule of faults. */
  faults?: 'none' | 'random';
  /** false: ticks only by step(). */
  autoTick?: boolean;
}

export interface Simulator {
  /** `http://HOST:PORT`; the bases are `/<market_id>` and `/control` below it. */
  readonly url: string;
  readonly port: number;
  readonly ledger: Ledger;
  inject(request: FaultRequest): Fault;
  heal(id?: number): void;
  setClock(offsetMs: number): void;
  setRate(rate: number): void;
  announce(message: Readonly<Record<string, unknown>>): number;
  /** As POST /control/account. */
  operate(message: Readonly<Record<string, unknown>>): unknown;
  state(): Record<string, unknown>;
  /** One tick of `ms`, for tests that drive time themselves. */
  step(ms: number): void;
  close(): Promise<void>;
}

const MAX_BODY = 1_048_576;

/** Starts a simulator. Rejects when the port is taken, or the ledger or the recordings cannot be opened. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { clock, seed } = options;
  const log = options.log ?? { info: () => undefined, error: () => undefined };
  const ledger = openLedger(options.ledgerPath ?? null);
  const server = createServer();
  const fail = (error: unknown): void => {
    log.error({ err: error }, 'the simulator failed');
    options.onFail?.(error);
  };
  const dice = new Prng(hashText(`${seed} faults`));
  const random = options.random ?? (() => dice.float());
  const world: World & { skewMs: number } = {
    seed, clock, ledger, random, skewMs: 0, limits: options.limits ?? true, timing: { ...REAL_TIMING, ...options.timing },
    outbox: new Outbox(ledger, fail), faults: new Faults(random, () => clock.monotonicMs()),
    nowUs: () => clock.nowMicros() + world.skewMs * 1000,
    nowMs: () => Math.floor(world.nowUs() / 1000),
  };
  const recordings = typeof options.replayDir === 'string' ? readRecordings(options.replayDir) : [];
  const { venues, tapes } = createVenues(world, recordings, options.keep ?? 200_000);
  const player = new Player(world, tapes, options.speed ?? 1, options.loop ?? false);
  const engine = new Engine(world, [...venues.values()], player, options.rate ?? 200, options.symbols ?? null);
  const actions = new Actions(world, venues, engine, player);
  const schedule = options.faults === 'random' ? new FaultSchedule(actions, [...venues.values()], seed) : null;
  world.ledger.note({ k: 'start', seed, rate: engine.rate, ts: world.nowUs() });
  engine.prefill(options.history ?? 200);
  const sockets = route(server, { world, venues, actions });
  await listen(server, options.port, options.host ?? '127.0.0.1');
  if (options.autoTick ?? true) engine.start(fail);
  schedule?.start();
  const { port } = server.address() as AddressInfo;
  const url = `http://${options.host ?? '127.0.0.1'}:${port}`;
  log.info({ url, seed, rate: engine.rate }, 'exchange simulator');
  return {
    url, port, ledger,
    inject: (request) => actions.inject(request),
    heal: (id) => actions.heal(id),
    setClock: (offsetMs) => actions.setClock(offsetMs),
    setRate: (rate) => actions.setRate(rate),
    announce: (message) => actions.announce(message),
    operate: (message) => actions.operate(message),
    state: () => actions.state(),
    step: (ms) => engine.step(ms),
    close: async () => {
      schedule?.stop();
      engine.stop();
      actions.close();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await ledger.close();
    },
  };
}

interface Parts {
  world: World;
  venues: ReadonlyMap<string, Venue>;
  actions: Actions;
}

/** Connects the server's events to the venues; returns the set of open sockets. */
function route(server: Server, parts: Parts): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('request', (request, response) => {
    readBody(request).then(
      (body) => {
        const [name, exchange] = exchangeOf(request, { response, body });
        const venue = parts.venues.get(name);
        if (name === 'control') handleControl(parts.actions, parts.world.ledger, exchange);
        else if (venue !== undefined) {
          parts.world.ledger.note({ k: 'rest', market_id: name, path: exchange.path, query: shown(exchange.query) });
          venue.http(exchange);
        }
        else answer(response, 404, '{"error":"no such base"}');
      },
      () => answer(response, 413, '{"error":"request entity too large"}'),
    ).catch((error: unknown) => answer(response, 500, JSON.stringify({ error: String(error) })));
  });
  const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false, autoPong: false, maxPayload: MAX_BODY, clientTracking: false });
  let nextId = 1;
  server.on('upgrade', (request, socket, head) => {
    if (!(socket instanceof Socket)) return;
    const [name, { path, query }] = exchangeOf(request, {});
    const venue = parts.venues.get(name);
    const fault = parts.world.faults.strike('refuse_connect', name);
    const refusal = venue === undefined ? { status: 404, body: 'Not Found' } : venue.refuse(path, socket.remoteAddress ?? '');
    if (venue === undefined || refusal !== null || fault !== null) {
      refuse(socket, fault === null ? refusal : { status: Number(fault.mode ?? 503), body: 'Service Unavailable' });
      return;
    }
    accept.handleUpgrade(request, socket, head, (ws) => {
      const connection = new Connection(nextId++, name, ws, socket, parts.world.outbox);
      parts.world.ledger.note({ k: 'open', market_id: name, conn: connection.id, path });
      ws.on('error', () => ws.terminate());
      ws.on('close', (code) => parts.world.ledger.note({ k: 'close', market_id: name, conn: connection.id, code }));
      venue.accept(connection, path, query);
    });
  });
  return sockets;
}

function refuse(socket: Socket, refusal: { status: number; body: string } | null): void {
  const { status, body } = refusal ?? { status: 503, body: 'Service Unavailable' };
  socket.end(`HTTP/1.1 ${status} ${body}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

/** The query without what nobody may read later: keys, tokens, signatures. */
function shown(query: URLSearchParams): string {
  const kept = [...query].filter(([name]) => !/secret|token|signature|apikey/i.test(name));
  return new URLSearchParams(kept).toString();
}

/** The base's name, and the request below it. */
function exchangeOf(request: IncomingMessage, rest: object): [string, HttpExchange] {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const [, name = '', path = ''] = /^\/([^/]*)(.*)$/.exec(url.pathname) ?? [];
  const exchange = { request, path: path === '' ? '/' : path, query: url.searchParams, ip: request.socket.remoteAddress ?? '', ...rest };
  return [name, exchange as HttpExchange];
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) throw new Error('too large');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => reject(cannotListen('SIM', host, port, error));
    server.once('error', refused);
    server.listen(port, host, () => {
      server.removeListener('error', refused);
      resolve();
    });
  });
}
