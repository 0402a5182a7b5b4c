// The JSON-RPC envelope and its errors. Codes: Deribit's "complete" error table.

export class RpcError extends Error {
  readonly code: number;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  constructor(code: number, message: string, data?: Readonly<Record<string, unknown>>) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export const invalidParam = (param: string, reason: string): RpcError => new RpcError(-32602, 'Invalid params', { reason, param });

export interface Request {
  id: number | string | null;
  method: string;
  params: Record<string, unknown>;
}

/** Largest request, over HTTP and WebSocket. */
export const MAX_REQUEST_BYTES = 32_768;

/** Reads a request; throws RpcError with the id it could find as `data.id` removed by the caller. */
export function parseRequest(text: string): Request | RpcError {
  if (Buffer.byteLength(text) > MAX_REQUEST_BYTES) return new RpcError(-32600, 'request entity too large');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return new RpcError(-32700, 'Parse error');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new RpcError(-32600, 'Invalid Request');
  const { id, method, params, jsonrpc } = value as Record<string, unknown>;
  if (jsonrpc !== undefined && jsonrpc !== '2.0') return new RpcError(-32600, 'Invalid Request');
  if (typeof method !== 'string') return new RpcError(-32600, 'Invalid Request', { reason: 'missing method' });
  if (params !== undefined && (typeof params !== 'object' || params === null || Array.isArray(params))) return new RpcError(-32602, 'Invalid params');
  return {
    id: typeof id === 'number' || typeof id === 'string' ? id : null, method: method.replace(/^\/+/, ''),
    params: (params ?? {}) as Record<string, unknown>,
  };
}

export interface Times {
  usIn: number;
  usOut: number;
}

const tail = ({ usIn, usOut }: Times): string => `"usIn":${usIn},"usOut":${usOut},"usDiff":${usOut - usIn},"testnet":false}`;
const head = (id: number | string | null): string => `{"jsonrpc":"2.0",${id === null ? '' : `"id":${JSON.stringify(id)},`}`;

/** A result whose JSON text is ready. */
export const resultText = (id: number | string | null, result: string, times: Times): string => `${head(id)}"result":${result},${tail(times)}`;

export function errorText(id: number | string | null, error: RpcError, times: Times): string {
  const data = error.data === undefined ? '' : `"data":${JSON.stringify(error.data)},`;
  return `${head(id)}"error":{${data}"message":${JSON.stringify(error.message)},"code":${error.code}},${tail(times)}`;
}

/** HTTP status of an error: 401 for bad tokens, 429 for spent credits, else 400. */
export const statusOf = (code: number): number => (code === 13009 ? 401 : code === 10028 ? 429 : 400);

/** Typed reads of request parameters; HTTP GET brings all of them as text. */
export class Params {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string {
    const value = this.optionalText(name);
    if (value === null) throw invalidParam(name, 'value required');
    return value;
  }

  optionalText(name: string): string | null {
    const value = this.#values[name];
    if (value === undefined) return null;
    if (typeof value !== 'string') throw invalidParam(name, 'must be string');
    return value;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  /** The text of a number (over HTTP GET it comes as text); null when absent. Numbers that JSON.parse has read are shortest texts. */
  number(name: string): string | null {
    const value = this.#values[name];
    if (value === undefined) return null;
    if (typeof value !== 'string' && typeof value !== 'number') throw invalidParam(name, 'must be number');
    return String(value);
  }

  int(name: string): number | null {
    const value = this.#values[name];
    if (value === undefined) return null;
    const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw invalidParam(name, 'must be integer');
    return number;
  }

  bool(name: string): boolean {
    const value = this.#values[name];
    if (value === undefined) return false;
    if (value !== true && value !== false && value !== 'true' && value !== 'false') throw invalidParam(name, 'must be boolean');
    return value === true || value === 'true';
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], standard: T): T {
    const value = this.optionalText(name);
    if (value === null) return standard;
    if (!(allowed as readonly string[]).includes(value)) throw invalidParam(name, 'invalid value');
    return value as T;
  }

  /** A list of texts (JSON array, or its JSON text over HTTP GET). */
  list(name: string): string[] {
    let value = this.#values[name];
    if (typeof value === 'string' && value.startsWith('[')) value = parseList(value);
    if (value === undefined) throw invalidParam(name, 'value required');
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) throw invalidParam(name, 'must be array of strings');
    return value as string[];
  }
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
