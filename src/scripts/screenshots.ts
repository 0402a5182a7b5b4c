// `node src/scripts/screenshots.ts`: pictures of the console's pages over a demo that runs (npm run demo), for docs/images.
// `--url http://127.0.0.1:8080` where it is, `--out docs/images`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { openBrowser } from './console/browser.ts';

interface Shot {
  readonly name: string;
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly scheme: 'dark' | 'light';
  /** Clicked before. */
  readonly open?: string;
}

const WIDE = { width: 1280, height: 820, scheme: 'dark' } as const;
const SHOTS: readonly Shot[] = [
  { name: 'console-overview', path: '/', ...WIDE },
  { name: 'console-feeds', path: '/feeds', ...WIDE },
  { name: 'console-completeness', path: '/completeness?by=hour', ...WIDE, height: 1000, open: '.heat button.healed' },
  { name: 'console-market', path: '/market', ...WIDE, height: 900 },
  { name: 'console-events', path: '/events', ...WIDE },
  { name: 'console-dlq', path: '/dlq', ...WIDE, open: 'summary' },
  { name: 'console-trading', path: '/trading', ...WIDE, height: 1000 },
  { name: 'console-light', path: '/', ...WIDE, scheme: 'light' },
  { name: 'console-phone', path: '/market', width: 390, height: 844, scheme: 'dark' },
];
/** So that rates, candles and trades have something to show. */
const SETTLE_MS = 6_000;

async function main(): Promise<void> {
  const { values: { url, out } } = parseArgs({
    options: { url: { type: 'string', default: 'http://127.0.0.1:8080' }, out: { type: 'string', default: 'docs/images' } },
  });
  if (!URL.canParse(url)) throw new UsageError(`--url: ${JSON.stringify(url)} is no URL`);
  mkdirSync(out, { recursive: true });
  const browser = await openBrowser();
  try {
    for (const { name, path, width, height, scheme, open } of SHOTS) {
      const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
      await page.goto(`${url}${path}`);
      await page.locator('#link[data-state=live]').waitFor();
      await sleep(SETTLE_MS);
      if (open !== undefined) await page.locator(open).first().click({ timeout: 2_000 }).catch(() => undefined);
      await sleep(500);
      // What was opened may have scrolled.
      await page.evaluate('scrollTo(0, 0)');
      await page.screenshot({ path: join(out, `${name}.png`) });
      await page.close();
      process.stdout.write(`${join(out, `${name}.png`)}\n`);
    }
  } finally {
    await browser.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`screenshots: ${toError(error).message}\n`);
  process.exit(error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true ? 2 : 1);
});
