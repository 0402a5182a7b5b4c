// Every view by its name: one line each.
import type { View } from '../hub.ts';
import type { Shown } from '../shown.ts';
import { completenessView, gapsView } from './completeness.ts';
import { feedsView } from './feeds.ts';
import { dlqView, eventsView } from './log.ts';
import { candlesView, instrumentsView, quoteView, tradesView } from './market.ts';
import { overviewView } from './overview.ts';
import { RecentEvents } from './recent_events.ts';
import type { Sources } from './sources.ts';
import { tradingView } from './trading.ts';

export function viewsOf(sources: Sources) {
  const recent = new RecentEvents(sources.redis);
  return {
    overview: overviewView(sources),
    feeds: feedsView(sources, recent),
    completeness: completenessView(sources),
    gaps: gapsView(sources),
    instruments: instrumentsView(sources),
    quote: quoteView(sources),
    trades: tradesView(sources),
    candles: candlesView(sources),
    events: eventsView(recent),
    dlq: dlqView(sources),
    trading: tradingView(sources),
  } satisfies Record<keyof Shown, View>;
}
