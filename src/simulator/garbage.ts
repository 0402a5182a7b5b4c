// Frames that no exchange should send and some do.

export const GARBAGE_MODES = [
  'not_json', 'truncated', 'binary', 'deep', 'proto', 'nan', 'nul', 'long_symbol', 'scalar', 'bad_utf8', 'huge',
] as const;

const TEXT = 0x81;
const BINARY = 0x82;

function body(mode: string, random: () => number): Buffer {
  switch (mode) {
    case 'not_json':
      return Buffer.from('<html><body>502 Bad Gateway</body></html>');
    case 'truncated':
      return Buffer.from('{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{"trade_seq":1');
    case 'binary':
      return Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256)));
    case 'deep':
      return Buffer.from('['.repeat(20_000) + ']'.repeat(20_000));
    case 'proto':
      return Buffer.from('{"stream":"btcusdt@trade","data":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}');
    case 'nan':
      return Buffer.from('{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"NaN","q":"1e400","T":1,"m":true}}');
    case 'nul':
      return Buffer.from('{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTC\\u0000USDT","t":1,"p":"1","q":"1","T":1,"m":true}}');
    case 'long_symbol':
      return Buffer.from(`{"stream":"x@trade","data":{"e":"trade","E":1,"s":"${'X'.repeat(10_000)}","t":1,"p":"1","q":"1","T":1,"m":true}}`);
    case 'scalar':
      return Buffer.from('null');
    case 'bad_utf8':
      return Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]);
    default:
      return Buffer.alloc(5 * 1024 * 1024, 0x20);
  }
}

/** A frame of the given flavour, or of a random one (then never the huge one, which ends a session). */
export function garbage(mode: string | null, random: () => number): { mode: string; firstByte: number; payload: Buffer } {
  const chosen = mode ?? GARBAGE_MODES[Math.floor(random() * (GARBAGE_MODES.length - 1))] ?? 'not_json';
  return { mode: chosen, firstByte: chosen === 'binary' ? BINARY : TEXT, payload: body(chosen, random) };
}
