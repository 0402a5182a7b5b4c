// One trade's entry in the stream, looked for by time: ids begin with the ms at which Redis got the entry.
import type { Redis } from 'ioredis';
import { dlqStreamMarketDataKey, parseStreamMessage, runsKey, streamMarketDataKey, type Trade } from '../contracts/index.ts';
import { before, fieldsOf, millisecondsOf } from './stream_id.ts';

/** What tells a trade from all others. */
export interface TradeName {
  readonly marketId: string;
  readonly symbol: string;
  readonly tradeId: string | null;
  readonly seq: number | null;
}

export interface FoundEntry {
  readonly id: string;
  readonly trade: Trade;
}

export interface EntrySearch {
  /** The first entry of the trade, and how many more of it follow within a page. */
  readonly found: FoundEntry | null;
  readonly repeats: number;
  readonly looked: number;
  /** The stream's first entry; null: it is empty. */
  readonly streamBegins: string | null;
  /** Whether there were older ones. */
  readonly isTrimmed: boolean;
}

const PAGE = 2_000;
const LETTERS = 1_000;

/** Looks through the entries of `fromMs`..`toMs`, at most `limit` of them. Rejects when Redis does not answer. */
export async function findTradeEntry(stream: Redis, name: TradeName, fromMs: number, toMs: number, limit: number): Promise<EntrySearch> {
  const streamBegins = (await stream.xrange(streamMarketDataKey, '-', '+', 'COUNT', 1))[0]?.[0] ?? null;
  const facts = streamBegins === null ? {} : fieldsOf((await stream.xinfo('STREAM', streamMarketDataKey)) as unknown[]);
  const about = { streamBegins, isTrimmed: Number(facts['entries-added'] ?? 0) > Number(facts['length'] ?? 0) };
  let looked = 0;
  for (let from = String(Math.max(0, Math.floor(fromMs))); looked < limit;) {
    const page = await stream.xrange(streamMarketDataKey, from, String(Math.ceil(toMs)), 'COUNT', PAGE);
    looked += page.length;
    const own = page.flatMap(([id, fields]) => entryOf(id, fields, name));
    if (own[0] !== undefined) return { found: own[0], repeats: own.length - 1, looked, ...about };
    const last = page.at(-1)?.[0];
    if (last === undefined || page.length < PAGE) break;
    from = `(${last}`;
  }
  return { found: null, repeats: 0, looked, ...about };
}

/** The newest dead letter of a trade among the last thousand; null: none. */
export async function findTradeLetter(stream: Redis, name: TradeName): Promise<{ id: string; error: string } | null> {
  for (const [id, fields] of await stream.xrevrange(dlqStreamMarketDataKey, '+', '-', 'COUNT', LETTERS)) {
    const field = (wanted: string): string => fields[fields.indexOf(wanted) + 1] ?? '';
    if (mentions(field('payload'), name)) return { id, error: field('error') };
  }
  return null;
}

function entryOf(id: string, fields: readonly string[], name: TradeName): FoundEntry[] {
  const payload = fields[fields.indexOf('payload') + 1] ?? '';
  // Parsing each of a hundred thousand entries would take seconds.
  if (!mentions(payload, name)) return [];
  const parsed = parseStreamMessage(parse(payload));
  return parsed.ok && parsed.value.type === 'trade' && isOf(parsed.value, name) ? [{ id, trade: parsed.value }] : [];
}

function mentions(payload: string, { symbol, tradeId, seq }: TradeName): boolean {
  if (!payload.includes(JSON.stringify(symbol))) return false;
  if (tradeId !== null) return payload.includes(JSON.stringify(tradeId));
  // The number of an aggregate may lie inside its run.
  return payload.includes(String(seq)) || payload.includes('"seq_last"');
}

function isOf(trade: Trade, { marketId, symbol, tradeId, seq }: TradeName): boolean {
  if (trade.market_id !== marketId || trade.symbol !== symbol) return false;
  if (tradeId !== null) return trade.trade_id === tradeId;
  return seq !== null && trade.seq !== null && trade.seq <= seq && seq <= (trade.seq_last ?? trade.seq);
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return null;
  }
}

export interface Delivery {
  readonly group: string;
  /** `waiting`: not given to any consumer yet. Redis forgets who had an entry when it is acknowledged. */
  readonly state: 'waiting' | 'pending' | 'acknowledged';
  readonly consumer: string | null;
  readonly deliveries: number | null;
}

/** What became of an entry in each consumer group. Rejects when Redis does not answer. */
export async function deliveriesOf(stream: Redis, id: string): Promise<Delivery[]> {
  const groups = ((await stream.xinfo('GROUPS', streamMarketDataKey)) as unknown[][]).map(fieldsOf);
  return Promise.all(groups.map(async (fields): Promise<Delivery> => {
    const group = String(fields['name']);
    if (before(String(fields['last-delivered-id']), id)) return { group, state: 'waiting', consumer: null, deliveries: null };
    const [pending] = (await stream.xpending(streamMarketDataKey, group, id, id, 1)) as [string, string, number, number][];
    if (pending !== undefined) return { group, state: 'pending', consumer: pending[1], deliveries: pending[3] };
    const consumer = runHolding(await stream.hgetall(runsKey(streamMarketDataKey, group)), id);
    return { group, state: consumer === null ? 'acknowledged' : 'pending', consumer, deliveries: consumer === null ? null : 1 };
  }));
}

/** The consumer of the run (runs.ts) that `id` lies in. */
function runHolding(runs: Readonly<Record<string, string>>, id: string): string | null {
  for (const [first, value] of Object.entries(runs)) {
    const [last = '', , consumer = ''] = value.split(' ');
    if (!before(id, first) && !before(last, id) && millisecondsOf(last) > 0) return consumer;
  }
  return null;
}
