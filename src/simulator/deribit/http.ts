// Requests that come over HTTP, and what a `rest_status` fault answers them.
import type { HttpExchange } from '../world.ts';
import { parseRequest, RpcError, type Request } from './rpc.ts';

/** The JSON-RPC error that goes with an HTTP status. */
export function faultError(status: number): RpcError {
  return status === 429
    ? new RpcError(10028, 'too_many_requests')
    : status >= 500
      ? new RpcError(11094, 'internal_server_error')
      : new RpcError(11050, 'bad_request');
}

/** POST brings a JSON-RPC body, GET the method in the path and the parameters in the query. */
export function httpRequest({ request, path, query, body }: HttpExchange): Request | RpcError | null {
  const method = /^\/api\/v2(?:\/((?:public|private)\/\w+))?$/.exec(path);
  if (method === null) return null;
  if (request.method === 'POST' || body !== '') return parseRequest(body);
  return method[1] === undefined ? null : { id: null, method: method[1], params: Object.fromEntries(query) };
}
