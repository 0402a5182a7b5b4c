// `npm run trace`: one trade's way from the exchange into the database. Exit code 0 it is stored, 1 it is not, 2 bad usage.
import { closeRedis, connectRedis, whenReady } from '../bus/connect.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { instrumentsOf } from '../store/completeness.ts';
import { didYouMean } from './completeness/options.ts';
import { traceTrade } from './trace/lineage.ts';
import { parseOptions, type TraceOptions } from './trace/options.ts';
import { asText } from './trace/print.ts';

const silent = { info: () => undefined, warn: () => undefined };
const REDIS_MS = 5_000;

async function instrumentOf(pool: Pool, { marketId, symbol }: TraceOptions): Promise<number> {
  const [found] = await instrumentsOf(pool, { marketId, symbol }).catch((error: unknown) => {
    throw new Error(`PostgreSQL does not answer: ${toError(error).message}`, { cause: error });
  });
  if (found !== undefined) return found.instrumentId;
  const known = await instrumentsOf(pool, { marketId, symbol: null });
  throw new UsageError(`--symbol: ${JSON.stringify(symbol)} is not an instrument of ${marketId}${didYouMean(symbol, known.map((one) => one.symbol))}`);
}

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv, Object.keys(MARKETS));
  if (typeof options === 'string') {
    process.stdout.write(`${options}\n`);
    return 0;
  }
  const config = loadConfig(MARKETS);
  const pool = createPool(config.databaseUrl, { name: 'trace', log: silent, max: 1 });
  const stream = connectRedis(config.streamRedisUrl, { name: 'trace', log: silent });
  try {
    const instrumentId = await instrumentOf(pool, options);
    // The database alone has most of the answer.
    await whenReady(stream, AbortSignal.timeout(REDIS_MS)).catch(() => stream.disconnect());
    const lineage = await traceTrade({ pool, stream, nowMs: systemClock().nowMicros() / 1_000 }, instrumentId, options);
    process.stdout.write(options.json ? `${JSON.stringify(lineage, null, 2)}\n` : asText(lineage));
    return lineage.trade === null ? 1 : 0;
  } finally {
    await Promise.all([closeRedis(stream), pool.end().catch(() => undefined)]);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`trace: ${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
