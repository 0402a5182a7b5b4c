// What an answer of Deribit proves about an order, and whose books are looked into.
import { describe, expect, it } from 'vitest';
import { JsonNumber, parseExact } from '../../../core/json.ts';
import { RpcError, RpcTransportError, type RpcCall } from '../../../net/json_rpc.ts';
import type { OrderRequest } from '../../trading.ts';
import { CODES, classOf } from './codes.ts';
import { DeribitVenue, bookCurrency } from './venue.ts';

const TOKEN = { access_token: 'token', expires_in: new JsonNumber('900'), scope: 'trade:read_write account:read' };
const summary = (currency: string, balance: string): Record<string, unknown> => ({
  currency, balance, equity: balance, available_funds: balance, initial_margin: '0', maintenance_margin: '0',
});
const ORDER: OrderRequest = {
  label: 'paper-manual-1', symbol: 'BTC_USDT-PERPETUAL', side: 'buy', amount: '0.0001', orderType: 'limit', price: '65000.5',
  timeInForce: 'good_til_cancelled', postOnly: false, reduceOnly: false, validUntil: 1_790_000_002_000_000,
};

/** A venue on an exchange that answers as `answers` says; what it was asked. */
async function venueOf(
  answers: (method: string) => unknown, currencies: readonly string[] = ['BTC'],
): Promise<{ venue: DeribitVenue; asked: string[]; logins: { count: number; work: boolean }; time: { ms: number } }> {
  const asked: string[] = [];
  const [logins, time] = [{ count: 0, work: true }, { ms: 0 }];
  const rpc: RpcCall = (method, params) => {
    if (method === 'public/auth') {
      logins.count++;
      return logins.work ? Promise.resolve(TOKEN) : Promise.reject(new RpcTransportError(method, 'no answer', { sent: true, status: 0 }));
    }
    // What it logs in for.
    if (method === 'private/get_open_orders') return Promise.resolve([]);
    asked.push(`${method} ${String(params['currency'] ?? params['label'])}`);
    return Promise.resolve().then(() => answers(method));
  };
  const venue = new DeribitVenue({
    rpc, credentials: { clientId: 'id', clientSecret: 'secret' }, clock: { nowMicros: () => 1_790_000_000_000_000, monotonicMs: () => time.ms }, currencies,
    offset: () => 0, pause: () => Promise.resolve(), events: () => (async function* none() { /* tells nothing */ })(),
  });
  await venue.openOrders();
  return { venue, asked, logins, time };
}
const failing = (error: Error) => (): never => {
  throw error;
};

describe('an order request', () => {
  it.each([
    ['an answer that never came', new RpcTransportError('private/buy', 'no answer', { sent: true, status: 0 }), 'unknown'],
    ['a 503', new RpcTransportError('private/buy', 'Unknown error, please check your request', { sent: true, status: 503 }), 'unknown'],
    ['a 500 after the request had left', new RpcTransportError('private/buy', 'HTML', { sent: true, status: 500 }), 'unknown'],
    ['no connection', new RpcTransportError('private/buy', 'connect ECONNREFUSED', { sent: false, status: 0 }), 'not_sent'],
    ['a code that nobody knows', new RpcError('private/buy', 12_345, 'what', ''), 'unknown'],
    ['something else that went wrong', new Error('oops'), 'unknown'],
  ])('with %s is %s', async (_what, error, kind) => {
    const { venue, asked } = await venueOf(failing(error));
    expect((await venue.submit(ORDER)).kind).toBe(kind);
    // Sent once, whatever it was answered.
    expect(asked).toEqual(['private/buy paper-manual-1']);
  });

  it.each(Object.keys(CODES).map(Number))('refused with %i is refused only where that proves that there is no order', async (code) => {
    const { venue, asked } = await venueOf(failing(new RpcError('private/buy', code, 'no', '')));
    expect((await venue.submit(ORDER)).kind).toBe(classOf(code) === 'refused' ? 'refused' : 'unknown');
    expect(asked).toHaveLength(1);
  });

  const ODD = ['{}', '[]', 'null', '"ok"', '{"order":{}}', '{"order":{"order_id":1},"trades":null}'];
  it.each(ODD)('answered with %s is unknown: it is most likely there', async (text) => {
    const { venue } = await venueOf(() => parseExact(text));
    expect((await venue.submit(ORDER)).kind).toBe('unknown');
  });
});

describe('a token near its end', () => {
  const gone = failing(new RpcError('private/buy', 10_009, 'not_enough_funds', ''));

  it('is renewed, and orders go out with it meanwhile', async () => {
    const { venue, asked, logins, time } = await venueOf(gone);
    time.ms = 700_000;
    expect((await venue.submit(ORDER)).kind).toBe('refused');
    expect([asked.length, logins.count]).toEqual([1, 2]);
  });

  it('that cannot be renewed is used until shortly before it ends, and no longer', async () => {
    const { venue, asked, logins, time } = await venueOf(gone);
    logins.work = false;
    time.ms = 850_000;
    expect((await venue.submit(ORDER)).kind).toBe('refused');
    time.ms = 895_000;
    expect(await venue.submit(ORDER)).toEqual({ kind: 'not_sent', reason: 'not logged in' });
    expect(asked).toHaveLength(1);
  });
});

describe('the currencies whose books are looked into', () => {
  const fills = async ({ venue, asked }: Awaited<ReturnType<typeof venueOf>>): Promise<string[]> => {
    asked.length = 0;
    await venue.fills(0, 1);
    return [...new Set(asked.map((line) => line.split(' ')[1]!))];
  };
  const answers = (method: string): unknown => {
    switch (method) {
      case 'private/get_account_summaries':
        return { id: new JsonNumber('7'), summaries: [summary('BTC', '1'), summary('USDT', '250.5'), summary('EURR', '0')] };
      case 'private/get_positions':
        return [{ instrument_name: 'SOL_USDE-PERPETUAL', direction: 'buy', size: '1', average_price: '150' }];
      case 'private/get_user_trades_by_currency_and_time':
        return { trades: [], has_more: false };
      default:
        throw new RpcError(method, 10_009, 'not_enough_funds', '');
    }
  };

  it('follow what the account has, holds and trades, and are never fewer', async () => {
    const made = await venueOf(answers, ['BTC', 'ETH', 'USDC']);
    expect(await fills(made)).toEqual(['BTC', 'ETH', 'USDC']);
    await made.venue.identity();
    expect(await fills(made)).toEqual(['BTC', 'ETH', 'USDC', 'USDT']);
    await made.venue.positions();
    expect(await fills(made)).toEqual(['BTC', 'ETH', 'USDC', 'USDT', 'USDE']);
    await made.venue.submit({ ...ORDER, symbol: 'XRP_EURR' });
    expect(await fills(made)).toEqual(['BTC', 'ETH', 'USDC', 'USDT', 'USDE', 'EURR']);
  });

  it('of an instrument are those of its settlement', () => {
    const symbols = ['BTC-PERPETUAL', 'ETH-25DEC26', 'BTC-25DEC26-100000-C', 'ETH_USDC-PERPETUAL', 'BTC_USDT-PERPETUAL', 'XRP_USDC-25DEC26-2d1-P', 'ETH_BTC'];
    expect(symbols.map(bookCurrency)).toEqual(['BTC', 'ETH', 'BTC', 'USDC', 'USDT', 'USDC', 'BTC']);
  });
});
