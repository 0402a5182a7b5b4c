// How fresh each symbol is, and how often its market was connected again.
import { z } from 'zod';
import type { LoggedEvent } from '../../../bus/event_log.ts';
import { feedPositions, tickerFields, wantedChannels } from '../../../bus/glance.ts';
import { view, type View } from '../hub.ts';
import type { Feeds } from '../shown.ts';
import type { RecentEvents } from './recent_events.ts';
import { Rates, from, type Sources } from './sources.ts';

/** Of one market: options come in thousands. */
const SHOWN = 500;
const HOUR_MICROS = 3_600_000_000;

type Market = Feeds['markets'][number];

export function feedsView(sources: Sources, recent: RecentEvents): View {
  const { clock, markets } = sources;
  const rates = new Rates();
  const read = async (): Promise<Feeds> => {
    const [told, found] = await Promise.all([recent.read(), Promise.all(markets.map(({ marketId }) => symbolsOf(sources, marketId)))]);
    const nowTs = clock.nowMicros();
    const perS = rates.next(clock.monotonicMs(), new Map(found.flatMap(({ marketId, positions }) =>
      [...positions].map(([symbol, seq]) => [`${marketId} ${symbol}`, seq] as const))));
    return {
      nowTs,
      markets: found.map(({ marketId, symbols, more }) => ({
        marketId, more, ...reconnectsOf(told, marketId, nowTs), symbols: symbols.map((each) => ({ ...each, tradesPerS: perS(`${marketId} ${each.symbol}`) })),
      })),
    };
  };
  return view({ params: z.strictObject({}), everyMs: 1_000, read: () => from('Redis', read()) });
}

async function symbolsOf({ redis }: Sources, marketId: string): Promise<
  { marketId: string; positions: Map<string, number>; symbols: Omit<Market['symbols'][number], 'tradesPerS'>[]; more: number }
> {
  const [wanted, positions] = await Promise.all([wantedChannels(redis, marketId), feedPositions(redis, marketId)]);
  const shown = [...wanted].slice(0, SHOWN);
  const fields = await tickerFields(redis, marketId, shown.map(([symbol]) => symbol), ['received_ts', 'feed_status', 'last_price']);
  const symbols = shown.map(([symbol, channels], n) => {
    const [received = null, status = null, last = null] = fields[n] ?? [];
    return { symbol, channels, receivedTs: received === null ? null : Number(received), status, last };
  });
  return { marketId, positions, symbols, more: wanted.size - shown.length };
}

/** Newest first. */
function reconnectsOf(events: readonly LoggedEvent[], marketId: string, nowTs: number): Pick<Market, 'reconnects' | 'lastReconnect'> {
  const lost = events.filter(({ type, market_id, ts }) => type === 'feed.disconnected' && market_id === marketId && nowTs - ts < HOUR_MICROS);
  const [last] = lost;
  const reason = last?.data['reason'];
  return { reconnects: lost.length, lastReconnect: last === undefined ? null : { ts: last.ts, reason: typeof reason === 'string' ? reason : '' } };
}
