// The console's frame: which page is shown, and dark or light.
import { completeness } from './pages/completeness.ts';
import { dlq } from './pages/dlq.ts';
import { events } from './pages/events.ts';
import { feeds } from './pages/feeds.ts';
import { overview } from './pages/overview.ts';
import { lazy, startRouter, type Pages } from './router.ts';
import { startTheme } from './theme.ts';

const PAGES: Pages = {
  '/': ['Overview', overview],
  '/feeds': ['Feeds', feeds],
  '/completeness': ['Completeness', completeness],
  '/market': ['Market', lazy(async () => (await import('./pages/market.ts')).market)],
  '/events': ['Events', events],
  '/dlq': ['Dead letters', dlq],
  '/trading': ['Trading', lazy(async () => (await import('./pages/trading.ts')).trading)],
};

startTheme();
startRouter(PAGES);
