// Puts together what the database and the stream know of one trade.
import type { Redis } from 'ioredis';
import { deliveriesOf, findTradeEntry, findTradeLetter, type Delivery, type TradeName } from '../../bus/find_entry.ts';
import { dayOfMicros } from '../../core/days.ts';
import { toError } from '../../core/errors.ts';
import type { Pool } from '../../store/connect.ts';
import {
  commitTime, gapsOfSeq, isHealed, surroundings, tradeById, tradeBySeq, type HoldingGap, type StoredTrade, type Surroundings,
} from '../../store/lineage.ts';
import type { TraceOptions } from './options.ts';

/** Where an entry was looked for and what became of it. */
export interface StreamPart {
  readonly id: string | null;
  /** When Redis got it, µs since the epoch. */
  readonly at: number | null;
  /** More entries of the same trade: sent again, or by another receiver. */
  readonly repeats: number;
  readonly deliveries: Delivery[];
  /** Why there is no id; null when there is one. */
  readonly why: string | null;
}

export interface Lineage {
  readonly market_id: string;
  readonly symbol: string;
  readonly trade: StoredTrade | null;
  readonly stream: StreamPart;
  /** µs since the epoch; null: not recorded. */
  readonly committed_ts: number | null;
  readonly healed: boolean;
  readonly gaps: HoldingGap[];
  /** Of a trade that is not stored. */
  readonly unknown: { readonly dead_letter: { id: string; error: string } | null } & Partial<Surroundings> | null;
}

/** The receiver's clock and Redis' may differ by so much. */
const SKEW_MS = 2_000;
/** A receiver holds what Redis cannot take; ten minutes of that are an incident of its own. */
const AFTER_MS = 600_000;
const LIMIT = 500_000;
/** What is not stored can only be on its way. */
const ON_ITS_WAY_MS = 900_000;

export interface TraceServers {
  readonly pool: Pool;
  readonly stream: Redis;
  readonly nowMs: number;
}

/** Rejects when PostgreSQL does not answer; a Redis that does not is told in `stream.why`. */
export async function traceTrade(servers: TraceServers, instrumentId: number, options: TraceOptions): Promise<Lineage> {
  const { pool } = servers;
  const { marketId, symbol, tradeId, seq } = options;
  const trade = tradeId === null ? await tradeBySeq(pool, instrumentId, seq ?? 0) : await tradeById(pool, instrumentId, tradeId);
  const name = { marketId, symbol, tradeId: trade?.tradeId ?? tradeId, seq: trade?.seq ?? seq };
  const named = { market_id: marketId, symbol };
  if (trade === null) return { ...named, trade, ...(await ofUnknown(servers, instrumentId, name)) };
  const [first, last] = [trade.seq, trade.seqLast ?? trade.seq];
  const healed = first !== null && last !== null && (await isHealed(pool, instrumentId, dayOfMicros(trade.exchangeTs), first, last));
  const gaps = first === null || last === null ? [] : await gapsOfSeq(pool, instrumentId, first, last);
  const fromMs = trade.receivedTs / 1_000 - SKEW_MS;
  return {
    ...named, trade, healed, gaps, committed_ts: await commitTime(pool, trade.xid), unknown: null,
    stream: await streamPart(servers.stream, name, fromMs, fromMs + SKEW_MS + AFTER_MS, healed),
  };
}

/** What is known of a trade that is not stored. */
async function ofUnknown(servers: TraceServers, instrumentId: number, name: TradeName): Promise<Omit<Lineage, 'market_id' | 'symbol' | 'trade'>> {
  const { pool, stream, nowMs } = servers;
  // Where ids are numbers, the id is the number in most venues, and a hint in the others.
  const seq = name.seq ?? (/^\d{1,15}$/.test(name.tradeId ?? '') ? Number(name.tradeId) : null);
  const letter = await findTradeLetter(stream, name).catch(() => null);
  return {
    committed_ts: null, healed: false,
    gaps: seq === null ? [] : await gapsOfSeq(pool, instrumentId, seq, seq),
    stream: await streamPart(stream, name, nowMs - ON_ITS_WAY_MS, nowMs + SKEW_MS, false),
    unknown: { dead_letter: letter, ...(seq === null ? {} : await surroundings(pool, instrumentId, seq)) },
  };
}

async function streamPart(stream: Redis, name: TradeName, fromMs: number, toMs: number, healed: boolean): Promise<StreamPart> {
  const none = (why: string): StreamPart => ({ id: null, at: null, repeats: 0, deliveries: [], why });
  try {
    const { found, repeats, looked, streamBegins, isTrimmed } = await findTradeEntry(stream, name, fromMs, toMs, LIMIT);
    if (found !== null) return { id: found.id, at: parseInt(found.id, 10) * 1_000, repeats, deliveries: await deliveriesOf(stream, found.id), why: null };
    if (streamBegins === null) return none('the stream is empty');
    if (isTrimmed && parseInt(streamBegins, 10) > fromMs) return none(`trimmed: the stream begins with ${streamBegins}`);
    if (healed) return none('fetched by REST: it never was in the stream');
    return none(looked >= LIMIT ? `not among the ${LIMIT} entries from its time on` : `not among the ${looked} entries of its time`);
  } catch (error) {
    return none(`Redis does not answer: ${toError(error).message}`);
  }
}
