import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RpcError, RpcTransportError, createRpc, unwrap } from './json_rpc.ts';

const thrown = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe('an answer', () => {
  it('is its result, with the values that the wire wrote', () => {
    expect(JSON.stringify(unwrap('m', 200, '{"result":{"price":0.10,"fee":0.00000012}}'))).toBe('{"price":0.1,"fee":0.00000012}');
    expect(JSON.stringify(unwrap('m', 200, '{"result":{"id":9007199254740993}}'))).toBe('{"id":9007199254740993}');
  });

  it('that is an error carries its number: what it proves hangs on it', () => {
    const error = thrown(() => unwrap('private/buy', 400, '{"error":{"code":10009,"message":"not_enough_funds","data":{"need":1.50}}}'));
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: 10009, message: 'private/buy: 10009 not_enough_funds ({"need":1.5})' });
    expect(thrown(() => unwrap('m', 400, '{"error":{"code":-32602,"message":"Invalid params"}}'))).toMatchObject({ code: -32602 });
    // No number, no proof.
    expect(thrown(() => unwrap('m', 400, '{"error":{"message":"x"}}'))).toMatchObject({ code: Number.NaN });
  });

  it.each(['', '<html>', '{}', '{"id":1}', 'null'])('that says nothing (%j) is no answer, and something was sent', (body) => {
    expect(thrown(() => unwrap('m', 502, body))).toMatchObject({ name: 'RpcTransportError', sent: true, status: 502 });
  });

  it('that cannot be asked for proves that nothing was sent', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const rpc = createRpc({ baseUrl: `http://127.0.0.1:${port}/api`, timeoutMs: 1_000, maxBytes: 100 });
    const error: unknown = await rpc('private/buy', { amount: 1 }, { token: 'secret-token' }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(RpcTransportError);
    expect(error).toMatchObject({ sent: false });
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('secret-token');
  });
});
