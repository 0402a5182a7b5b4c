// `npm run events`: what happened, from stream:system_events; with --follow also what happens.
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { eventsAfter, eventsBefore, type LoggedEvent } from '../bus/event_log.ts';
import type { SystemEvent } from '../contracts/index.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { eventType, isWantedType, severityValues } from '../runtime/analyzer_env.ts';
import { loadConfig } from '../runtime/env.ts';
import { oneOf } from '../runtime/env_values.ts';

const USAGE = 'usage: npm run events -- [--follow] [--type TYPE[,TYPE]] [--severity info|warning|error|critical]\n'
  + '                         [--market M] [--symbol S] [--limit N] [--json]';
const CONNECT_MS = 5_000;
const PAGE = 1_000;
const BLOCK_MS = 1_000;
const DATA_WIDTH = 160;

interface Options {
  follow: boolean;
  json: boolean;
  types: readonly string[];
  /** This one and what is worse. */
  severity: SystemEvent['severity'];
  market: string | undefined;
  symbol: string | undefined;
  limit: number;
}

/** null: help was asked for. */
function readOptions(argv: string[]): Options | null {
  const { values } = parseArgs({
    args: argv,
    options: {
      follow: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }, type: { type: 'string', multiple: true, default: [] },
      severity: { type: 'string', default: 'info' }, market: { type: 'string' }, symbol: { type: 'string' }, limit: { type: 'string', default: '50' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return null;
  const limit = Number(values.limit);
  if (!/^\d+$/.test(values.limit) || limit > 10_000) throw new UsageError(`--limit: ${JSON.stringify(values.limit)} is not a whole number from 0 to 10000`);
  if (values.market !== undefined && !Object.hasOwn(MARKETS, values.market)) {
    throw new UsageError(`--market: unknown market ${JSON.stringify(values.market)}; known: ${Object.keys(MARKETS).join(', ')}`);
  }
  return {
    follow: values.follow, json: values.json, market: values.market, symbol: values.symbol, limit,
    types: values.type.flatMap((text) => text.split(',')).map((type) => eventType('--type', type.trim())),
    severity: oneOf('--severity', values.severity, severityValues),
  };
}

function isWanted(event: LoggedEvent, { types, severity, market, symbol }: Options): boolean {
  return severityValues.indexOf(event.severity) >= severityValues.indexOf(severity) && isWantedType(event.type, types)
    && (market === undefined || event.market_id === market) && (symbol === undefined || event.symbol === symbol);
}

/** The last `limit` wanted ones, oldest first, and where the stream ended. */
async function recent(redis: Redis, options: Options): Promise<{ end: string; events: LoggedEvent[] }> {
  const found: LoggedEvent[] = [];
  let end: string | null = null;
  for (let before = '+'; ;) {
    const page = await eventsBefore(redis, before, PAGE);
    // Read even when none is to be shown: what comes next is what comes after this one.
    end ??= page.events[0]?.id ?? page.last;
    found.push(...page.events.filter((event) => isWanted(event, options)));
    if (page.last === null || found.length >= options.limit) break;
    before = page.last;
  }
  return { end: end ?? '0-0', events: found.slice(0, options.limit).reverse() };
}

function print({ id, ...event }: LoggedEvent, { json }: Options): void {
  process.stdout.write(`${json ? JSON.stringify({ id, ...event }) : lineOf(event)}\n`);
}

function lineOf(event: SystemEvent): string {
  const time = new Date(event.ts / 1000).toISOString().slice(0, 23).replace('T', ' ');
  const where = `${event.market_id ?? '-'} ${event.symbol ?? '-'}`;
  // Events hold what strangers sent: nothing of it may steer the terminal.
  const plain = `${where.padEnd(32)} ${JSON.stringify(event.data)}`.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD');
  const data = plain.length > DATA_WIDTH ? `${plain.slice(0, DATA_WIDTH - 1)}…` : plain;
  return `${time}  ${event.severity.padEnd(8)}  ${event.type.padEnd(26)}  ${data}`;
}

async function run(options: Options): Promise<void> {
  const config = loadConfig(MARKETS);
  const redis = connectRedis(config.redisUrl, { name: 'events', log: pino({ level: 'silent' }), blocking: options.follow });
  const deadline = setTimeout(() => redis.disconnect(), CONNECT_MS);
  let state: 'running' | 'stopped' = 'running';
  const stop = (): void => {
    state = 'stopped';
    redis.disconnect();
  };
  const stopped = (): boolean => state === 'stopped';
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  process.stdout.on('error', stop);
  try {
    await redis.ping().catch((error: unknown) => {
      throw new Error(`Redis does not answer: ${toError(error).message}`, { cause: error });
    });
    clearTimeout(deadline);
    const { end, events } = await recent(redis, options);
    for (const event of events) print(event, options);
    if (events.length === 0 && !options.follow && !options.json) process.stdout.write('no such events\n');
    for (let last = end; options.follow && !stopped();) {
      const page = await eventsAfter(redis, last, BLOCK_MS);
      last = page.last ?? last;
      for (const event of page.events) if (isWanted(event, options)) print(event, options);
    }
  } catch (error) {
    if (!stopped()) throw error;
  } finally {
    clearTimeout(deadline);
    await closeRedis(redis);
  }
}

async function main(argv: string[]): Promise<void> {
  const options = readOptions(argv);
  if (options === null) process.stdout.write(`${USAGE}\n`);
  else await run(options);
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  const error = toError(thrown) as Error & { code?: string };
  const usage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`events: ${error.message}${error.code?.startsWith('ERR_PARSE_ARGS') === true ? `\n${USAGE}` : ''}\n`);
  process.exitCode = usage ? 2 : 1;
});
