// What a POST makes of answers that are none, over raw sockets: each call ends, once, and nothing is sent twice.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { PostError, createPost } from './post.ts';

let server: Server;
let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  server.close();
});

/** A server that answers the n-th request it reads as `answer` does. Gives how to post to it, and what it has read. */
async function serve(answer: (socket: Socket, n: number) => void, timeoutMs = 500): Promise<{ post: () => Promise<unknown>; read: string[] }> {
  const read: string[] = [];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      read.push(data.toString());
      answer(socket, read.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/private/buy`;
  const post = createPost(url, { timeoutMs, maxBytes: 1_000 });
  return { read, post: () => post(url, { authorization: 'Bearer secret-token' }, '{}').catch((error: unknown) => error) };
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe('a post', () => {
  it.each([
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', 0],
    ['no answer', '', 0],
    ['half a head', 'HTTP/1.1 200 OK\r\ncontent-le', 0],
    ['half a body', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', 200],
    ['half a chunk', 'HTTP/1.1 502 Bad\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf', 502],
    ['what is no HTTP', 'SSH-2.0-x\r\n', 0],
    ['what is no gzip', 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nhalf', 200],
    ['too much', `HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n${'x'.repeat(2_000)}`, 200],
  ])('that is answered with %s ends with an error, and without a secret in it', async (_what, answer, status) => {
    const { post, read } = await serve((socket) => socket.write(answer));
    const error = await post();
    expect(error).toBeInstanceOf(PostError);
    expect(error).toMatchObject({ status });
    expect(String((error as Error).stack) + JSON.stringify(error)).not.toContain('secret');
    expect(read).toHaveLength(1);
  });

  it.each([['closed', (socket: Socket) => socket.end()], ['reset', (socket: Socket) => socket.resetAndDestroy()]])(
    'over a kept connection that is %s under it is in doubt, and not sent again', async (_how, end) => {
      const { post, read } = await serve((socket, n) => (n === 1 ? socket.write(OK) : end(socket)));
      expect(await post()).toEqual({ status: 200, body: 'ok' });
      expect(await post()).toBeInstanceOf(PostError);
      expect([read.length, sockets.length]).toEqual([2, 1]);
      // The next one goes over a new connection.
      server.removeAllListeners('connection').on('connection', (socket: Socket) => socket.on('data', () => socket.end(OK)));
      expect(await post()).toEqual({ status: 200, body: 'ok' });
    });
});
