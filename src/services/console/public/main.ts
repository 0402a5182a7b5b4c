// The console's frame: which page is shown, and dark or light.
import { completeness } from './pages/completeness.ts';
import { dlq } from './pages/dlq.ts';
import { events } from './pages/events.ts';
import { feeds } from './pages/feeds.ts';
import { market } from './pages/market.ts';
import { overview } from './pages/overview.ts';
import { trading } from './pages/trading.ts';
import { startRouter, type Pages } from './router.ts';
import { startTheme } from './theme.ts';

const PAGES: Pages = {
  '/': ['Overview', overview],
  '/feeds': ['Feeds', feeds],
  '/completeness': ['Completeness', completeness],
  '/market': ['Market', market],
  '/events': ['Events', events],
  '/dlq': ['Dead letters', dlq],
  '/trading': ['Trading', trading],
};

startTheme();
startRouter(PAGES);
