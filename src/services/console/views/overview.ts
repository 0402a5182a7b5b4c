// The fleet at a glance: states, rates, lag, memory, budgets, who is alive.
import { z } from 'zod';
import { allHeartbeats, budgetFigures, feedPositions, streamFigures, tickerFields, wantedChannels, type Beat } from '../../../bus/glance.ts';
import { countLetters } from '../../../bus/dlq.ts';
import { memoryOf } from '../../../bus/keyspace.ts';
import { readMemory } from '../../../bus/memory.ts';
import { peekState } from '../../../bus/state.ts';
import { streamMarketDataKey, systemStateSimpleKey } from '../../../contracts/index.ts';
import { marketOf } from '../../../exchanges/registry.ts';
import { countGaps } from '../../../store/hours.ts';
import { allFlags } from '../../../store/trading/glance.ts';
import { view, type View } from '../hub.ts';
import type { Overview } from '../shown.ts';
import { Rates, orElse, type Sources } from './sources.ts';

/** Tickers that are asked how old the newest one of a market is. */
const ASKED = 200;

export function overviewView(sources: Sources): View {
  const rates = new Rates();
  return view({ params: z.strictObject({}), everyMs: 1_000, read: () => readOverview(sources, rates) });
}

async function readOverview(sources: Sources, rates: Rates): Promise<Overview> {
  const { redis, stream, pool, clock, markets } = sources;
  const problems: string[] = [];
  const asked = <T>(otherwise: T, work: () => Promise<T>): Promise<T> => orElse(problems, 'Redis', otherwise, work);
  const exchangeNames = [...new Set(markets.map(({ exchange }) => exchange))];
  const [aggregate, exchanges, figures, dlq, memory, beats, budgets, found, gaps, flags] = await Promise.all([
    asked(null, () => redis.get(systemStateSimpleKey)),
    asked([], () => Promise.all(exchangeNames.map((exchange) => stateOf(sources, exchange)))),
    asked(null, () => streamFigures(stream)),
    asked(null, () => countLetters(stream, streamMarketDataKey)),
    asked(null, () => memoryFigures(sources)),
    asked([], () => allHeartbeats(redis)),
    asked([], () => allBudgets(sources)),
    asked([], () => Promise.all(markets.map(({ marketId }) => marketFigures(sources, marketId)))),
    orElse(problems, 'PostgreSQL', null, () => countGaps(pool)),
    orElse(problems, 'PostgreSQL', null, () => allFlags(pool)),
  ]);
  const perS = rates.next(clock.monotonicMs(), new Map([
    ...(figures === null ? [] : [['stream', figures.added] as const]), ...found.map(({ marketId, position }) => [marketId, position] as const),
  ]));
  return {
    nowTs: clock.nowMicros(), aggregate, exchanges, dlq, memory, budgets, gaps, problems,
    markets: markets.map(({ marketId, exchange }) => {
      const { subscribed = 0, quotes = 0, newestTs = null } = found.find((each) => each.marketId === marketId) ?? {};
      return { marketId, exchange, subscribed, quotes, newestTs, tradesPerS: perS(marketId) };
    }),
    stream: figures === null ? null : { length: figures.length, perS: perS('stream'), groups: figures.groups },
    processes: beats.map(processOf),
    killSwitch: isKilled(beats) || (flags === null ? null : flags.some(({ name, value }) => name === 'kill_switch' && value === 'on')),
  };
}

/** By its file or a signal, which the flag may not tell (yet, or any more). */
const isKilled = (beats: readonly Beat[]): boolean => beats.some(({ service, says }) => service === 'executor' && typeof says['kill_switch'] === 'string');

async function stateOf({ redis }: Sources, exchange: string): Promise<Overview['exchanges'][number]> {
  const { state, meta } = await peekState(redis, exchange);
  const at = Number(meta['at'] ?? NaN);
  return { exchange, state, since: Number.isFinite(at) ? at : null, by: meta['by'] ?? null, reason: meta['reason'] ?? null };
}

async function memoryFigures({ redis }: Sources): Promise<Overview['memory']> {
  const [{ usedBytes, maxBytes, peakBytes, keys }, ladder] = await Promise.all([memoryOf(redis), readMemory(redis)]);
  return { usedBytes, maxBytes, peakBytes, keys, level: ladder?.level ?? null };
}

/** Venues that share a limit share its bucket. */
async function allBudgets({ redis, clock, markets }: Sources): Promise<Overview['budgets']> {
  const limits = new Map(markets.flatMap(({ marketId, exchange }) => {
    const limit = marketOf(marketId)?.restLimit;
    return limit === undefined ? [] : [[limit.pool, { exchange, limit }] as const];
  }));
  return Promise.all([...limits.values()].map(({ exchange, limit }) => budgetFigures(redis, exchange, limit, clock.nowMicros() / 1000)));
}

/** `position`: sum of the trade numbers of all symbols; its growth is how many trades there were. */
async function marketFigures(
  { redis }: Sources, marketId: string,
): Promise<{ marketId: string; subscribed: number; quotes: number; newestTs: number | null; position: number }> {
  const [wanted, positions] = await Promise.all([wantedChannels(redis, marketId), feedPositions(redis, marketId)]);
  const tickers = [...wanted].filter(([, channels]) => channels.includes('ticker')).map(([symbol]) => symbol);
  const times = await tickerFields(redis, marketId, tickers.slice(0, ASKED), ['received_ts']);
  const newest = Math.max(0, ...times.map(([time]) => Number(time ?? 0)));
  return {
    marketId, subscribed: wanted.size, quotes: tickers.length, newestTs: newest || null,
    position: [...positions.values()].reduce((sum, seq) => sum + seq, 0),
  };
}

const KNOWN = new Set(['pid', 'host', 'started_at', 'at', 'boot', 'version', 'build']);

function processOf({ service, instance, says }: Beat): Overview['processes'][number] {
  const number = (name: string): number | null => (typeof says[name] === 'number' ? says[name] : null);
  const detail = Object.entries(says).filter(([name, value]) => !KNOWN.has(name) && ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name} ${String(value)}`).join(', ');
  return { service, instance, startedTs: number('started_at'), pid: number('pid'), detail: detail.slice(0, 200) };
}
