// A POST over connections that stand, for requests that must leave at once. Node's own client, not fetch: fetch took 0.8 ms from the
// call to the socket (this takes a third), and the weak references of its requests outlived each young collection, which then paused the
// executor for 15–50 ms every few seconds. That was the tail of its orders.
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as httpsRequest } from 'node:https';
import { createGunzip } from 'node:zlib';
import { toError } from '../core/errors.ts';

export interface PostOptions {
  /** From the call to the last byte of the answer. */
  timeoutMs: number;
  maxBytes: number;
  signal?: AbortSignal;
}

export interface Posted {
  status: number;
  body: string;
}

/** No complete answer. `status` is 0 when none began; `cause` is the socket's own error. */
export class PostError extends Error {
  override name = 'PostError';
  readonly status: number;
  constructor(message: string, status: number, cause: Error) {
    super(message, { cause });
    this.status = status;
  }
}

/** An idle connection is closed before servers do it: a request that meets its end is in doubt. As fetch has it. */
const IDLE_MS = 4_000;

/** POSTs to addresses of `baseUrl`'s scheme. Follows no redirect. Rejects with PostError. */
export function createPost(baseUrl: string, options: PostOptions): (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<Posted> {
  const secure = new URL(baseUrl).protocol === 'https:';
  const agent = secure ? new SecureAgent({ keepAlive: true, timeout: IDLE_MS }) : new Agent({ keepAlive: true, timeout: IDLE_MS });
  const open = secure ? httpsRequest : httpRequest;
  const { timeoutMs, maxBytes, signal } = options;
  return (url, headers, body) => new Promise((resolve, reject) => {
    let status = 0;
    let late = false;
    const sent = open(url, { method: 'POST', agent, headers: { ...headers, 'accept-encoding': 'gzip', 'content-length': Buffer.byteLength(body) } });
    const timer = setTimeout(() => {
      late = true;
      fail(new Error('deadline'));
    }, timeoutMs);
    const end = (): unknown => sent.destroy(toError(signal?.reason));
    signal?.addEventListener('abort', end, { once: true });
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    };
    const fail = (error: unknown): void => {
      over();
      const cause = toError(error);
      reject(new PostError(late ? `no complete answer within ${timeoutMs} ms` : cause.message === '' ? cause.name : cause.message, status, cause));
      sent.destroy();
    };
    sent.once('error', fail);
    // Later errors of a socket that is given up are nobody's.
    sent.on('error', () => undefined);
    // Of an answer that asks for another protocol Node tells nothing but this.
    sent.once('close', () => {
      if (status === 0) fail(new Error('the connection ended without an answer'));
    });
    sent.once('response', (response) => {
      status = response.statusCode ?? 0;
      readText(response, maxBytes).then((text) => {
        over();
        resolve({ status, body: text });
      }, fail);
    });
    sent.end(body);
  });
}

async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const plain = response.headers['content-encoding'] === 'gzip' ? response.pipe(createGunzip()) : response;
  if (plain !== response) response.once('error', (error) => plain.destroy(error));
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of plain as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
