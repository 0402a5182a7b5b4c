// Answers over HTTP, and what a `rest_status` fault makes of them.
import type { ServerResponse } from 'node:http';
import type { HttpExchange, World } from './world.ts';

const BLOCK_PAGE = '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n';

/** Sends a whole answer. */
export function answer(
  response: ServerResponse, status: number, body: string, headers: Readonly<Record<string, string | number>> = {}, type = 'application/json',
): void {
  if (response.writableEnded) return;
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-type': `${type};charset=UTF-8`, 'content-length': bytes.length, ...headers });
  response.end(bytes);
}

/**
 * Applies a `rest_status` fault to this request. True when the fault has answered (or will never answer); `errorBody` gives
 * the venue's own body for an error status. The mode `error200` and an unknown one answer with that body under 200 or 500.
 */
export function restFault(
  world: World, marketId: string, exchange: HttpExchange,
  errorBody: (status: number) => { body: string; headers?: Readonly<Record<string, string | number>> },
): boolean {
  const probe = world.faults.find('rest_status', marketId, symbolIn(exchange.query));
  if (probe === null || (probe.path !== undefined && !exchange.path.includes(probe.path))) return false;
  const fault = world.faults.strike('rest_status', marketId, symbolIn(exchange.query));
  if (fault === null) return false;
  const mode = fault.mode ?? '500';
  world.ledger.note({ k: 'rest_fault', market_id: marketId, path: exchange.path, mode });
  const { response } = exchange;
  const retry: Record<string, string | number> = fault.retry_after_s === undefined ? {} : { 'retry-after': fault.retry_after_s };
  if (mode === 'hang') return true;
  if (mode === 'html') answer(response, 502, BLOCK_PAGE, retry, 'text/html');
  else if (mode === 'empty') answer(response, 200, '', retry);
  else if (mode === 'truncated') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 4096 });
    response.write('{"result":{"trades":[{"price":');
    exchange.request.socket.destroySoon();
  } else {
    const status = mode === 'error200' ? 200 : Number(mode) || 500;
    const { body, headers } = errorBody(status === 200 ? 500 : status);
    answer(response, status, body, { ...headers, ...retry });
  }
  return true;
}

const symbolIn = (query: URLSearchParams): string | undefined => query.get('symbol') ?? query.get('instrument_name') ?? undefined;

/** A query parameter as an integer; null when absent, NaN when it is no integer. */
export function intParam(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  if (text === null || text === '') return null;
  return /^-?\d{1,16}$/.test(text) ? Number(text) : NaN;
}
