// `npm run orders`, `npm run positions`, `npm run cases`: the executor's books from a terminal. `npm run cases -- close <id> --reason TEXT`
// ends a case after an operator has looked; an executor that has locked itself for it goes on. docs/executor.md
import { userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import type { CaseRecord, OrderRecord, PositionRecord } from '../core/trading/records.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { insertOperatorAction } from '../store/state_log.ts';
import { findCase, listCases, listOrders, listPositions, type Look } from '../store/trading/lists.ts';
import { PgTradingStore } from '../store/trading/store.ts';

type Book = 'orders' | 'positions' | 'cases';

interface Options {
  book: Book;
  json: boolean;
  follow: boolean;
  all: boolean;
  limit: number;
  close: { caseId: string; reason: string } | null;
}

const USAGE: Record<Book, string> = {
  orders: 'usage: npm run orders -- [--all] [--limit N] [--json] [--follow]',
  positions: 'usage: npm run positions -- [--all] [--limit N] [--json] [--follow]',
  cases: 'usage: npm run cases -- [--all] [--limit N] [--json] [--follow] | close <id> --reason TEXT',
};
const FOLLOW_MS = 500;
/** A transaction is seen later than the time that its row carries. */
const OVERLAP = 5_000_000;
const ANSWER_MS = 15_000;

const out = (line: string): void => void process.stdout.write(`${line}\n`);
/** Labels and reasons come from strangers: nothing of them may steer the terminal. */
const plain = (text: string | null): string => (text ?? '-').replaceAll(/[\p{Cc}\p{Cf}]/gu, '\uFFFD').slice(0, 200);
const time = (micros: number): string => new Date(micros / 1000).toISOString().slice(0, 19).replace('T', ' ');

function readOptions(book: Book, args: string[]): Options {
  try {
    const flag = { type: 'boolean', default: false } as const;
    const { values, positionals } = parseArgs({
      args, allowPositionals: true,
      options: { json: flag, follow: flag, all: flag, limit: { type: 'string', default: '50' }, reason: { type: 'string' } },
    });
    if (!/^[1-9]\d{0,4}$/.test(values.limit)) throw new UsageError(`--limit: ${JSON.stringify(values.limit)} is not a whole number from 1 to 99999`);
    const { json, follow, all, limit } = values;
    const [word, id, extra] = positionals;
    const shared = { book, json, follow, all, limit: Number(limit) };
    const lists = word === undefined || (word === 'list' && id === undefined);
    // An operator who forgot the word would think that the case is closed.
    if (lists && values.reason !== undefined) throw new UsageError('--reason goes with close');
    if (lists) return { ...shared, close: null };
    if (book !== 'cases' || word !== 'close') throw new UsageError(`unexpected argument ${JSON.stringify(word)}`);
    if (id === undefined || !/^\d{1,18}$/.test(id)) throw new UsageError(`close: ${JSON.stringify(id ?? '')} is not the number of a case`);
    if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
    if (json || follow || all) throw new UsageError('close takes --reason alone');
    const reason = values.reason?.trim() ?? '';
    if (reason === '') throw new UsageError('close needs a --reason, which goes on record');
    return { ...shared, close: { caseId: id, reason } };
  } catch (error) {
    throw new UsageError(`${book}: ${toError(error).message}; ${USAGE[book]}`);
  }
}

interface Line {
  /** Tells a row and its state from what was shown already. */
  key: string;
  text: string;
  row: OrderRecord | PositionRecord | CaseRecord;
}

async function look(pool: Pool, { book, all }: Options, at: Look): Promise<Line[]> {
  switch (book) {
    case 'orders':
      return (await listOrders(pool, at, !all && at.since === null)).map((row) => ({
        row, key: `${row.orderId} ${row.version}`,
        text: `${time(row.updatedTs)}  ${row.state.padEnd(16)} ${row.side.padEnd(4)} ${row.filledAmount}/${row.amount} ${row.symbol} @ ${row.price ?? 'market'}`
          + `  ${plain(row.label)}${row.cancelState === null ? '' : `  cancel ${row.cancelState}`}${row.reason === null ? '' : `  ${plain(row.reason)}`}`,
      }));
    case 'positions':
      return (await listPositions(pool, at, all || at.since !== null)).map((row) => ({
        row, key: `${row.account} ${row.marketId} ${row.symbol} ${row.updatedTs}`,
        text: `${time(row.updatedTs)}  ${row.amount.padStart(14)} ${row.symbol} @ ${row.averagePrice?.slice(0, 18) ?? '-'}`
          + `  realised ${row.realised.slice(0, 18)}  fees ${row.fees}  funding ${row.funding} ${row.settle ?? ''}  account ${row.account}`,
      }));
    case 'cases':
      return (await listCases(pool, at, all || at.since !== null)).map((row) => ({
        row,
        key: `${row.caseId} ${row.updatedTs} ${row.status}`,
        text:
          `${row.caseId.padStart(5)}  ${time(row.updatedTs)}  ${row.status.padEnd(6)} ${row.kind} ${row.symbol ?? ''}` +
          `  ours ${plain(JSON.stringify(row.ours))}  the exchange's ${plain(JSON.stringify(row.theirs))}` +
          (row.decision === null ? '' : `  → ${plain(row.decision)}`),
      }));
  }
}

async function show(pool: Pool, options: Options, stop: AbortSignal): Promise<number> {
  const shown = new Set<string>();
  for (let since: number | null = null; ;) {
    const startedAt = systemClock().nowMicros();
    const lines = await look(pool, options, { limit: options.limit, since });
    const fresh = lines.filter(({ key }) => !shown.has(key));
    // The newest stands last, where the eye is.
    for (const { key, text, row } of options.book === 'positions' ? fresh : fresh.reverse()) {
      shown.add(key);
      out(options.json ? JSON.stringify(row) : text);
    }
    if (!options.follow) {
      if (lines.length === 0 && !options.json) out(`no ${options.all ? '' : options.book === 'orders' ? 'live ' : 'open '}${options.book}`);
      return 0;
    }
    since = startedAt - OVERLAP;
    await sleep(FOLLOW_MS, undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return 0;
  }
}

/** Ctrl-C is how one stops following: no failure. So is a reader that has seen enough. */
function untilInterrupted(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  process.stdout.on('error', () => stop.abort());
  return stop.signal;
}

async function close(pool: Pool, { caseId, reason }: { caseId: string; reason: string }): Promise<number> {
  const found = await findCase(pool, caseId);
  if (found === null) {
    out(`there is no case ${caseId}`);
    return 1;
  }
  if (found.status !== 'open' && found.status !== 'locked') {
    out(`case ${caseId} is ${found.status} already: ${plain(found.decision)}`);
    return 1;
  }
  const by = `operator ${userInfo().username}`;
  const store = new PgTradingStore(pool);
  await store.settleCase(caseId, 'closed', `${by}: ${reason}`, systemClock().nowMicros());
  await insertOperatorAction(pool, { actor: by, action: 'case closed', target: `case ${caseId}`, reason, detail: found });
  const left = (await store.openCases(found.account)).filter(({ status }) => status === 'locked').length;
  out(`case ${caseId} is closed; ${left === 0 ? 'the executor unlocks itself and reconciles' : `${left} more keep the executor locked`}`);
  return 0;
}

async function main([book = '', ...args]: string[]): Promise<number> {
  const options = readOptions(book as Book, args);
  const config = loadConfig(MARKETS);
  const pool = createPool(config.databaseUrl, { name: 'operator', log: { warn: () => undefined }, max: 1 });
  const late = setTimeout(() => {
    process.stderr.write(`${book}: no answer in ${ANSWER_MS / 1000} s from ${new URL(config.databaseUrl).host}\n`);
    process.exit(1);
  }, ANSWER_MS);
  if (options.follow) clearTimeout(late);
  try {
    if (options.close !== null) return await close(pool, options.close);
    return await show(pool, options, options.follow ? untilInterrupted() : new AbortController().signal);
  } finally {
    clearTimeout(late);
    await pool.end().catch(() => undefined);
  }
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
