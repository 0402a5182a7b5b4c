// The HTTP control port: POST/DELETE /control/faults, GET /control/state, GET /control/ledger?since=, POST /control/clock,
// /control/rate, /control/announce and /control/account. Answers are JSON; a mistake is a 400 that names the field.
import { ControlError, type Actions } from './actions.ts';
import type { FaultRequest } from './faults.ts';
import { answer } from './http.ts';
import type { Ledger } from './ledger.ts';
import type { HttpExchange } from './world.ts';

/** Answers one request below /control. */
export function handleControl(actions: Actions, ledger: Ledger, exchange: HttpExchange): void {
  const { response, request, path } = exchange;
  try {
    if (`${request.method} ${path}` === 'GET /ledger') {
      const { text, next } = ledger.read(Number(exchange.query.get('since') ?? 0));
      answer(response, 200, text, { 'x-ledger-next': next }, 'application/x-ndjson');
      return;
    }
    answer(response, 200, `${JSON.stringify(run(actions, exchange))}\n`);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    answer(response, error.message === 'unknown path' ? 404 : 400, `${JSON.stringify({ error: error.message })}\n`);
  }
}

function run(actions: Actions, exchange: HttpExchange): unknown {
  switch (`${exchange.request.method} ${exchange.path}`) {
    case 'GET /state':
    case 'GET /':
      return actions.state();
    case 'POST /faults':
      return actions.inject(bodyOf(exchange) as unknown as FaultRequest);
    case 'DELETE /faults': {
      const id = exchange.query.get('id');
      if (id !== null && !/^\d{1,15}$/.test(id)) throw new ControlError(`id: ${JSON.stringify(id)} is not the number of a fault`);
      actions.heal(id === null ? undefined : Number(id));
      return { ok: true };
    }
    case 'POST /clock':
      actions.setClock(Number(bodyOf(exchange)['offset_ms']));
      return { ok: true };
    case 'POST /rate':
      actions.setRate(Number(bodyOf(exchange)['rate']));
      return { ok: true };
    case 'POST /announce':
      return { heard: actions.announce(bodyOf(exchange)) };
    case 'POST /account':
      return actions.operate(bodyOf(exchange));
    default:
      throw new ControlError('unknown path');
  }
}

function bodyOf({ body }: HttpExchange): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new ControlError('body: expected JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ControlError('body: expected an object');
  return value as Record<string, unknown>;
}
