// JSON-RPC over HTTP POST to an exchange's private side. It says of each call what is proven: an answer, an explicit error, or
// that none came, and then whether a byte can have left. Tokens travel in a header; neither header nor body gets into a message.
import { toError } from '../core/errors.ts';
import { JsonNumber, parseValues } from '../core/json.ts';
import { PostError, createPost } from './post.ts';

/** The exchange answered with an error of its own. */
export class RpcError extends Error {
  override name = 'RpcError';
  readonly code: number;
  readonly detail: string;
  constructor(method: string, code: number, message: string, detail: string) {
    super(`${method}: ${code} ${message}${detail === '' ? '' : ` (${detail})`}`);
    this.code = code;
    this.detail = detail;
  }
}

/** No answer that can be read. `sent` false: proven that no byte of the request left. */
export class RpcTransportError extends Error {
  override name = 'RpcTransportError';
  readonly sent: boolean;
  /** HTTP status, 0 when there was none. */
  readonly status: number;
  constructor(method: string, why: string, facts: { sent: boolean; status: number }, options?: ErrorOptions) {
    super(`${method}: ${why}`, options);
    this.sent = facts.sent;
    this.status = facts.status;
  }
}

/** Calls `method`; the result with numbers as the wire's text (JsonNumber). Throws RpcError or RpcTransportError. */
export interface RpcCall {
  (method: string, params: Readonly<Record<string, unknown>>, options?: { token?: string }): Promise<unknown>;
}

export interface RpcOptions {
  /** `https://…/api/v2` */
  baseUrl: string;
  timeoutMs: number;
  maxBytes: number;
  signal?: AbortSignal;
}

/** Refused before anything was written: there was no connection to write to. */
const NOTHING_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'ERR_TLS_CERT_ALTNAME_INVALID']);
const SHOWN = 200;

export function createRpc(options: RpcOptions): RpcCall {
  const post = createPost(options.baseUrl, options);
  let id = 0;
  return async (method, params, { token } = {}) => {
    options.signal?.throwIfAborted();
    const headers = { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const { status, body } = await post(`${options.baseUrl}/${method}`, headers, JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }))
      .catch((error: unknown) => {
        if (!(error instanceof PostError)) throw error;
        const sent = error.status !== 0 || !nothingSent(toError(error.cause));
        throw new RpcTransportError(method, error.message, { sent, status: error.status }, { cause: new Error(error.message) });
      });
    return unwrap(method, status, body);
  };
}

/** The envelope of an answer. Exported for transports that are no HTTP. */
export function unwrap(method: string, status: number, body: string): unknown {
  let tree: unknown;
  try {
    tree = parseValues(body);
  } catch {
    throw new RpcTransportError(method, `HTTP ${status}: ${body.trim() === '' ? 'empty body' : 'the body is no JSON'}`, { sent: true, status });
  }
  const envelope = typeof tree === 'object' && tree !== null ? (tree as Record<string, unknown>) : {};
  const error = envelope['error'];
  if (typeof error === 'object' && error !== null) {
    const { code, message, data } = error as Record<string, unknown>;
    // Numbers are the wire's text here.
    const number = code instanceof JsonNumber ? Number(code.text) : Number.NaN;
    throw new RpcError(method, number, String(message).slice(0, SHOWN), data === undefined ? '' : JSON.stringify(data).slice(0, SHOWN));
  }
  if (status !== 200 || !Object.hasOwn(envelope, 'result')) {
    throw new RpcTransportError(method, `HTTP ${status} without a result`, { sent: true, status });
  }
  return envelope['result'];
}

function nothingSent(error: Error): boolean {
  const codes = [error, error.cause, ...(error.cause instanceof AggregateError ? (error.cause.errors as unknown[]) : [])]
    .map((candidate) => (candidate as { code?: unknown } | undefined)?.code);
  return codes.some((code) => typeof code === 'string' && NOTHING_SENT.has(code));
}
