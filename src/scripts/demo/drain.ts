// The end of a checked run: nothing new comes in, everything under way arrives, and the stream is empty of work.
import type { Redis } from 'ioredis';
import type { Pool } from '../../store/connect.ts';
import { findHoles } from '../../store/gaps.ts';
import {
  dlqKey, dlqStreamMarketDataKey, feedSeqKey, jobsKey, leasedKey, leasesKey, queueOhlcWorkKey, queueTradeWorkKey, streamMarketDataKey,
} from '../../contracts/index.ts';
import { readLedger } from './ledger.ts';
import { settle } from './settle.ts';
import { verdict, type Verdict } from './verdict.ts';

const GROUP = 'distributor';
const HOLE_DAYS = 2;
const HOLE_LIMIT = 1_000;

/** Waits until the last trade that was sent of every symbol is published: what the receiver still holds would look lost. */
export async function waitForReceiver(redis: Redis, ledgerFile: string, seconds: number): Promise<string | null> {
  const last = new Map<string, { marketId: string; symbol: string; seq: number }>();
  for (const [key, { marketId, symbol, trades }] of await readLedger(ledgerFile)) {
    const seq = Math.max(-1, ...[...trades.values()].slice(-2000).filter((t) => t.sent).map((t) => t.seqLast));
    if (seq >= 0) last.set(key, { marketId, symbol, seq });
  }
  return settle(seconds, async () => {
    const behind: string[] = [];
    for (const { marketId, symbol, seq } of last.values()) {
      const published = Number((await redis.hget(feedSeqKey(marketId), symbol)) ?? -1);
      if (published < seq) behind.push(`${marketId} ${symbol} published up to ${published}, sent up to ${seq}`);
    }
    return behind.length === 0 ? null : behind.slice(0, 3).join('; ');
  });
}

/** Every entry read and acknowledged: compares ids, because a group's lag lies after a trim. */
export async function waitForDrain(redis: Redis, seconds: number): Promise<Verdict> {
  let figures: Record<string, number> = {};
  const complaint = await settle(seconds, async () => {
    const [stream, groups] = await Promise.all([
      redis.xinfo('STREAM', streamMarketDataKey) as Promise<unknown[]>,
      redis.xinfo('GROUPS', streamMarketDataKey) as Promise<unknown[][]>,
    ]);
    const head = String(field(stream, 'last-generated-id'));
    const group = groups.find((g) => field(g, 'name') === GROUP);
    if (group === undefined) return `no group ${GROUP}`;
    const pending = Number(field(group, 'pending'));
    const delivered = String(field(group, 'last-delivered-id'));
    figures = { entries: Number(field(stream, 'entries-added')), pending };
    return pending === 0 && delivered === head ? null : `pending ${pending}, delivered up to ${delivered} of ${head}`;
  });
  return verdict('drained', complaint === null ? [] : [complaint], complaint ?? `${figures['entries']} entries, all acknowledged`, figures);
}

/** Every gap is settled: the missing trades were fetched, or the exchange does not have them. */
export async function waitForHealing(pool: Pool, seconds: number): Promise<Verdict> {
  let counts: Record<string, number> = {};
  const complaint = await settle(seconds, async () => {
    const { rows } = await pool.query<{ status: string; n: number }>('SELECT status, count(*)::int AS n FROM data_gaps GROUP BY 1');
    counts = Object.fromEntries(rows.map((row) => [row.status, row.n]));
    const unsettled = (counts['open'] ?? 0) + (counts['healing'] ?? 0);
    if (unsettled > 0) return `${unsettled} gaps are not settled`;
    // What no receiver could report, since it was killed, the governor finds between the stored trades, some seconds later.
    const holes = await findHoles(pool, HOLE_DAYS, HOLE_LIMIT);
    return holes.length === 0 ? null : `${holes.length} holes between stored trades are no gaps yet`;
  });
  const { rows } = await pool.query<{ line: string }>(
    `SELECT i.market_id || ' ' || i.symbol || ' ' || coalesce(from_seq || '..' || to_seq, from_ts || '..' || to_ts) || ': ' || g.reason AS line
     FROM data_gaps g JOIN instruments i USING (instrument_id) WHERE g.status <> 'closed' ORDER BY gap_id LIMIT 5`);
  const closed = counts['closed'] ?? 0;
  return verdict('gaps_closed', rows.map((row) => row.line), complaint ?? `${closed} gaps, all closed by fetching what was missing`, { closed, ...counts });
}

/** No job waits, none is in hand, no lease is left, and none was given up. */
export async function waitForQueues(redis: Redis, seconds: number): Promise<Verdict> {
  const left = async (): Promise<string[]> => {
    const counts = await Promise.all([queueTradeWorkKey, queueOhlcWorkKey].flatMap((queue) => [
      redis.llen(queue).then((n) => `${n} in ${queue}`), redis.hlen(leasedKey(queue)).then((n) => `${n} in ${leasedKey(queue)}`),
      redis.zcard(leasesKey(queue)).then((n) => `${n} in ${leasesKey(queue)}`), redis.scard(jobsKey(queue)).then((n) => `${n} in ${jobsKey(queue)}`),
      redis.xlen(dlqKey(queue)).then((n) => `${n} in ${dlqKey(queue)}`),
    ]));
    return counts.filter((line) => !line.startsWith('0 '));
  };
  const complaint = await settle(seconds, async () => (await left())[0] ?? null);
  return verdict('queues', complaint === null ? [] : [...new Set([complaint, ...await left()])], complaint ?? 'no job waits, none is in hand or given up');
}

/** The dead letters are exactly the entries that were injected as poison. */
export async function checkDeadLetters(redis: Redis, injected: readonly string[]): Promise<Verdict> {
  const entries = await redis.xrange(dlqStreamMarketDataKey, '-', '+');
  const found = entries.map(([, values]) => values[values.indexOf('source_id') + 1] ?? '');
  const offenders = [
    ...injected.filter((id) => !found.includes(id)).map((id) => `${id} is missing`),
    ...found.filter((id) => !injected.includes(id)).map((id) => `${id} is not poison`),
    ...found.filter((id, i) => found.indexOf(id) !== i).map((id) => `${id} is there twice`),
  ];
  return verdict('dead_letters', offenders, `${injected.length} poison entries injected, ${found.length} dead letters`,
    { injected: injected.length, dead_letters: found.length });
}

function field(pairs: unknown[], name: string): unknown {
  return pairs[pairs.indexOf(name) + 1];
}
