import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { systemClock } from '../runtime/clock.ts';
import { frameOf } from '../testing/frames.ts';
import { HandshakeError, openSession, type BadFrame, type Frame, type Session } from './websocket.ts';

const clock = systemClock();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function exchange(onConnection: (socket: WebSocket) => void, autoPong = true): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong });
  server.on('connection', onConnection);
  await once(server, 'listening');
  closers.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function readAll(session: Session): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const batch of session) frames.push(...batch);
  return frames;
}

describe('openSession', () => {
  it('gives every text frame in order with the time it was read, and ends with the connection', async () => {
    const url = await exchange((socket) => {
      for (let i = 0; i < 500; i++) socket.send(`frame ${i} é`);
      socket.close(1001, 'going away');
    });
    const before = clock.nowMicros();
    const session = await openSession(url, { clock, pingAfterMs: 1000 });
    const frames = await readAll(session);
    expect(frames.map((f) => f.text)).toEqual(Array.from({ length: 500 }, (_, i) => `frame ${i} é`));
    expect(
      frames.every((f, i) => f.receivedTs >= before && (i === 0 || f.receivedTs >= frames[i - 1]!.receivedTs)),
    ).toBe(true);
    expect(await session.ended).toEqual({ code: 1001, reason: 'going away' });
  });

  it('gives what came in one packet with the answer to the handshake, and shows it to a tap', async () => {
    const server = createServer();
    const url = await listen(server);
    server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1').update(`${request.headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
      socket.end(Buffer.concat([Buffer.from(answer), frameOf('first'), frameOf('second'), frameOf(Buffer.from([3, 232]), 8)]));
    });
    const seen: string[] = [];
    const tap = { received: (bytes: Buffer) => void seen.push(bytes.toString()), sent: () => undefined, closed: (detail: string) => void seen.push(detail) };
    const session = await openSession(url.replace('http', 'ws'), { clock, pingAfterMs: 1000, tap });
    expect((await readAll(session)).map(({ text }) => text)).toEqual(['first', 'second']);
    expect(seen).toEqual(['first', 'second', '1000']);
  });

  it('tells a tap of a handshake that cannot begin, too', async () => {
    const seen: string[] = [];
    const tap = { received: () => undefined, sent: () => undefined, closed: (detail: string) => void seen.push(detail) };
    await expect(openSession('ws://', { clock, pingAfterMs: 1000, tap })).rejects.toThrow();
    const signal = AbortSignal.abort(new Error('stopped'));
    await expect(openSession('ws://127.0.0.1:1', { clock, pingAfterMs: 1000, tap, signal })).rejects.toThrow('stopped');
    expect(seen).toEqual(['Invalid URL: ws://', 'stopped']);
  });

  it('counts binary frames and goes on; an oversize frame ends the session', async () => {
    const url = await exchange((socket) => {
      socket.send(Buffer.from([1, 2, 3]));
      socket.send('text');
      socket.send('x'.repeat(2000));
    });
    const bad: BadFrame[] = [];
    const session = await openSession(url, {
      clock,
      pingAfterMs: 1000,
      maxPayloadBytes: 1000,
      onBadFrame: (kind) => bad.push(kind),
    });
    expect((await readAll(session)).map((f) => f.text)).toEqual(['text']);
    expect(bad).toEqual(['binary', 'oversize']);
    expect((await session.ended).reason).toContain('Max payload size exceeded');
  });

  it('pings a silent peer and lives on while it answers', async () => {
    let pings = 0;
    const pinged = new Promise<WebSocket>((resolve) => {
      void exchange((socket) => socket.on('ping', () => ++pings === 3 && resolve(socket))).then(async (url) => {
        const session = await openSession(url, { clock, pingAfterMs: 40 });
        void readAll(session);
      });
    });
    (await pinged).close();
    expect(pings).toBe(3);
  });

  it('ends a session whose peer does not even answer pings', async () => {
    const url = await exchange(() => undefined, false);
    const session = await openSession(url, { clock, pingAfterMs: 40 });
    expect((await session.ended).reason).toContain('no sign of life');
  });

  it('holds a bounded amount for a slow reader: the peer is slowed down instead', async () => {
    const frame = 'x'.repeat(1_000_000);
    const sent = 100;
    const peer = Promise.withResolvers<WebSocket>();
    const url = await exchange((socket) => {
      for (let i = 0; i < sent; i++) socket.send(frame);
      socket.send('end');
      peer.resolve(socket);
    });
    const session = await openSession(url, { clock, pingAfterMs: 60_000 });
    const socket = await peer.promise;
    // A reader that does not read: wait until nothing moves any more.
    for (let before = -1; before !== socket.bufferedAmount;) {
      before = socket.bufferedAmount;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(socket.bufferedAmount).toBeGreaterThan(50_000_000);
    const texts: string[] = [];
    for await (const batch of session) {
      texts.push(...batch.map((f) => f.text));
      if (texts.at(-1) === 'end') break;
    }
    expect(texts).toHaveLength(sent + 1);
    await session.close();
  });

  it('says why a handshake was refused', async () => {
    const url = await listen(
      createServer((_request, response) => response.writeHead(429, { 'retry-after': '7' }).end()).on(
        'upgrade',
        (_request, socket) => {
          socket.end('HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n');
        },
      ),
    );
    const error = await openSession(url, { clock, pingAfterMs: 1000 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(HandshakeError);
    expect(error).toMatchObject({ status: 429, retryAfterMs: 7000 });
  });

  it('follows no redirect and gives up on a handshake that never comes', async () => {
    const redirecting = await listen(
      createServer().on('upgrade', (_request, socket) => {
        socket.end('HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n');
      }),
    );
    await expect(openSession(redirecting, { clock, pingAfterMs: 1000 })).rejects.toMatchObject({ status: 302 });
    const silent = await listen(createServer().on('upgrade', () => undefined));
    await expect(openSession(silent, { clock, pingAfterMs: 1000, handshakeTimeoutMs: 50 })).rejects.toThrow(
      'timed out',
    );
  });

  it('stops connecting when asked to', async () => {
    const silent = await listen(createServer().on('upgrade', () => undefined));
    const stop = new AbortController();
    const opening = openSession(silent, { clock, pingAfterMs: 1000, signal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(opening).rejects.toThrow();
  });
});
