// `npm run dlq -- list|show|replay|discard`: dead letters by hand (docs/runbooks/poison-pill.md).
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { closeRedis, connectRedis } from '../bus/connect.ts';
import { countLetters, discardLetters, findLetter, listLetters, readPayload, replayLetter, type StoredLetter } from '../bus/dlq.ts';
import { StreamEntry } from '../bus/entry_parser.ts';
import { streamMarketDataKey } from '../contracts/index.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { loadConfig } from '../runtime/env.ts';
import { decodeEntry } from '../services/distributor/decode.ts';
import { userPath } from './local/user_path.ts';

const USAGE = `usage: npm run dlq -- list [--limit N] | show <id> | replay <id>|--all [--payload FILE] | discard <id>|--all   [--json]`;
const ENTRY_ID = /^\d+-\d+$/;
const PAGE = 200;
const CONNECT_MS = 5_000;
const DEFAULT_LIMIT = '50';
const WIDTH = { class: 10, error: 100 };

interface Options {
  limit: number;
  all: boolean;
  json: boolean;
  payload: string | undefined;
  ids: readonly string[];
}

const out = (text: string): void => void process.stdout.write(`${text}\n`);
const oneLine = (text: string, width: number): string => {
  // Letters hold what strangers sent: nothing of it may steer the terminal.
  const plain = text.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD');
  return plain.length > width ? `${plain.slice(0, width - 1)}…` : plain;
};
const when = (letter: StoredLetter): string => {
  const ms = Number(letter.failed_at) / 1000;
  return Number.isFinite(ms) && ms > 0 ? new Date(ms).toISOString().slice(0, 19) : '-'.padEnd(19);
};

async function list(redis: Redis, options: Options): Promise<number> {
  const letters = await listLetters(redis, streamMarketDataKey, options.limit);
  if (options.json) {
    for (const letter of letters) out(JSON.stringify(letter));
    return 0;
  }
  for (const letter of letters) {
    out(`${letter.id.padEnd(20)} ${when(letter)}  ${(letter.error_class ?? '-').padEnd(WIDTH.class)} ${oneLine(letter.error ?? '', WIDTH.error)}`);
  }
  const total = await countLetters(redis, streamMarketDataKey);
  out(total === 0 ? 'no dead letters' : `${letters.length} of ${total} dead letters`);
  return 0;
}

async function show(redis: Redis, options: Options): Promise<number> {
  const letter = await required(redis, oneId(options));
  if (options.json) out(JSON.stringify(letter));
  else for (const [name, value] of Object.entries(letter)) out(`${name.padEnd(12)} ${oneLine(value, 65_536)}`);
  return 0;
}

async function replay(redis: Redis, options: Options): Promise<number> {
  if (options.payload !== undefined && options.all) throw new UsageError('--payload repairs one letter: name its id instead of --all');
  const repaired = options.payload === undefined ? undefined : payloadFrom(userPath(options.payload, process.env));
  let refused = 0;
  let done = 0;
  for await (const letter of chosen(redis, options)) {
    // The bytes as received: read as text, those that are no UTF-8 would go back as something else.
    const payload = repaired ?? (await readPayload(redis, streamMarketDataKey, letter.id));
    const decoded = decodeEntry(StreamEntry.of(letter.id, payload));
    const entry = decoded.ok && payload !== null ? await replayLetter(redis, streamMarketDataKey, letter.id, payload) : null;
    if (!decoded.ok) {
      refused++;
      out(`${letter.id}  refused: ${oneLine(decoded.error, 300)}`);
    } else if (entry !== null) {
      done++;
      out(`${letter.id}  replayed as ${entry}`);
    }
  }
  out(`${done} replayed, ${refused} refused`);
  return refused === 0 ? 0 : 1;
}

async function discard(redis: Redis, options: Options): Promise<number> {
  let done = 0;
  for await (const letter of chosen(redis, options)) done += await discardLetters(redis, streamMarketDataKey, [letter.id]);
  out(`${done} discarded`);
  return 0;
}

/** The letters that the command is about; with --all those that were there when it began. */
async function* chosen(redis: Redis, options: Options): AsyncGenerator<StoredLetter> {
  if (!options.all) {
    yield await required(redis, oneId(options));
    return;
  }
  if (options.ids.length > 0) throw new UsageError('name one id, or --all, not both');
  let left = await countLetters(redis, streamMarketDataKey);
  for (let after = '-'; left > 0; ) {
    const page = await listLetters(redis, streamMarketDataKey, Math.min(PAGE, left), after);
    if (page.length === 0) return;
    for (const letter of page) yield letter;
    left -= page.length;
    after = page.at(-1)?.id ?? after;
  }
}

async function required(redis: Redis, id: string): Promise<StoredLetter> {
  const letter = await findLetter(redis, streamMarketDataKey, id);
  if (letter === null) throw new Error(`no dead letter ${id}; npm run dlq -- list shows them`);
  return letter;
}

function oneId({ ids }: Options): string {
  const [id, ...more] = ids;
  if (id === undefined || more.length > 0) throw new UsageError(`one id is needed\n${USAGE}`);
  if (!ENTRY_ID.test(id)) throw new UsageError(`id: ${JSON.stringify(id)} is not an entry id such as 1790755218589-0`);
  return id;
}

function payloadFrom(file: string): Buffer {
  try {
    const bytes = readFileSync(file);
    return isUtf8(bytes) ? Buffer.from(bytes.toString().trim()) : bytes;
  } catch (error) {
    throw new UsageError(`--payload: cannot read ${file}`, { cause: error });
  }
}

const COMMANDS = {
  list: { run: list, takes: ['limit', 'json'] },
  show: { run: show, takes: ['json'] },
  replay: { run: replay, takes: ['all', 'payload', 'json'] },
  discard: { run: discard, takes: ['all', 'json'] },
} as const;

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { limit: { type: 'string' }, all: { type: 'boolean' }, json: { type: 'boolean' }, payload: { type: 'string' } },
  });
  const [name = '', ...ids] = positionals;
  if (!Object.hasOwn(COMMANDS, name)) throw new UsageError(`unknown command ${JSON.stringify(name)}\n${USAGE}`);
  const { run, takes } = COMMANDS[name as keyof typeof COMMANDS];
  const foreign = Object.keys(values).find((option) => !(takes as readonly string[]).includes(option));
  if (foreign !== undefined) throw new UsageError(`${name} does not take --${foreign}\n${USAGE}`);
  if (name === 'list' && ids.length > 0) throw new UsageError(`list: unexpected argument ${JSON.stringify(ids[0])}\n${USAGE}`);
  const { all = false, json = false, payload } = values;
  const limit = Number(values.limit ?? DEFAULT_LIMIT);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError(`--limit: ${JSON.stringify(values.limit)} is not a whole number above 0`);
  const config = loadConfig(MARKETS);
  const redis = connectRedis(config.streamRedisUrl, { name: 'dlq', log: pino({ level: 'silent' }) });
  const deadline = setTimeout(() => redis.disconnect(), CONNECT_MS);
  try {
    await redis.ping().catch((error: unknown) => {
      throw new Error(`Redis does not answer: ${toError(error).message}`, { cause: error });
    });
    clearTimeout(deadline);
    return await run(redis, { limit, all, json, payload, ids });
  } finally {
    clearTimeout(deadline);
    await closeRedis(redis);
  }
}

// `npm run dlq -- list | head -1`: whoever read has gone; what was begun still comes to its end.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (thrown: unknown) => {
    const error = toError(thrown) as Error & { code?: string };
    process.stderr.write(`dlq: ${error.message}\n`);
    process.exitCode = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS') === true ? 2 : 1;
  },
);
