// A strategy in a process of its own: sends one signal and prints what becomes of it, one JSON line per answer, until it has ended.
//
//   REDIS_URL=redis://… node docs/examples/signal-client.ts buy 10 60000 [strategy] [symbol]      SIGNAL_KEY_FILE=… where signals need a mac
//
// It needs nothing of this repository but the two streams: copy it, or write the same in another language. Exit code 0: the order ended
// (filled, cancelled …); 1: it was refused, or nobody answered within a minute; 2: bad usage.
import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

const ENDED = ['FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'ABANDONED'];
const PATIENCE_MS = 60_000;

interface Update {
  kind: string;
  signal_id?: string;
  state?: string;
}

/** Newest entry of the stream: answers come after it. */
async function newest(redis: Redis, stream: string): Promise<string> {
  const [entry] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1);
  return entry?.[0] ?? '0-0';
}

/** The mac is over the payload's bytes as they are sent: made of the text, not of the object again. */
async function send(redis: Redis, signal: Record<string, unknown>, keyFile: string | undefined): Promise<void> {
  const payload = JSON.stringify(signal);
  const mac = keyFile === undefined ? [] : ['mac', createHmac('sha256', readFileSync(keyFile, 'utf8').trim()).update(payload).digest('hex')];
  await redis.xadd('stream:signals', '*', 'payload', payload, ...mac);
}

/** Updates of one signal, as they come. */
async function* answers(redis: Redis, signalId: string, after: string): AsyncGenerator<Update> {
  const until = Date.now() + PATIENCE_MS;
  let last = after;
  while (Date.now() < until) {
    const found = await redis.xread('COUNT', 100, 'BLOCK', 1_000, 'STREAMS', 'stream:order_updates', last);
    for (const [id, fields] of found?.[0]?.[1] ?? []) {
      last = id;
      const update = JSON.parse(fields[1] ?? 'null') as Update;
      if (update.signal_id === signalId) yield update;
    }
  }
}

async function main([side = '', amount = '', price = '', strategy = 'manual', symbol = 'BTC-PERPETUAL']: string[]): Promise<number> {
  if (!['buy', 'sell'].includes(side) || amount === '' || price === '') {
    process.stderr.write('usage: node signal-client.ts buy|sell AMOUNT PRICE [STRATEGY] [SYMBOL]\n');
    return 2;
  }
  const redis = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379');
  try {
    const after = await newest(redis, 'stream:order_updates');
    const signalId = `client-${randomUUID()}`;
    await send(redis, {
      // Decimals are text: a float is not what the exchange would get.
      v: 1, signal_id: signalId, strategy, market_id: 'deribit', symbol, side, amount, order_type: 'limit', price, time_in_force: 'immediate_or_cancel',
      created_ts: Date.now() * 1000, valid_for_ms: 10_000,
    }, process.env['SIGNAL_KEY_FILE']);
    for await (const update of answers(redis, signalId, after)) {
      process.stdout.write(`${JSON.stringify(update)}\n`);
      if (update.kind === 'refusal') return 1;
      if (update.kind === 'order' && ENDED.includes(update.state ?? '')) return 0;
    }
    return 1;
  } finally {
    redis.disconnect();
  }
}

process.exitCode = await main(process.argv.slice(2));
