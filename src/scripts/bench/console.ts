// The console over a busy fleet: how soon its first view is there, what its server costs, and whether the page stays smooth.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { chromiumPath, openBrowser } from '../console/browser.ts';
import { freePort } from '../local/child.ts';
import { closeFleet, openFleet, rows } from './end-to-end.ts';
import { rate } from './measure.ts';
import { cpuSeconds, metricsOf } from './stage.ts';

export interface ConsoleResult {
  page: string;
  /** Trades that the fleet stored meanwhile; each is an update, and so is each quote beside them. */
  tradesPerSecond: number;
  /** From the address to the first figures, median of five with nothing cached. */
  firstViewMs: number;
  /** Of one core. */
  serverCpu: number;
  framesPerSecond: number;
  longestFrameMs: number;
}

const PAGES = ['/', '/feeds', '/market'] as const;
const VIEWS = 5;

/** Null where there is no Chromium. */
export async function benchConsole(tradesPerSecond: number, seconds: number): Promise<ConsoleResult[] | null> {
  if (chromiumPath() === null) return null;
  const browser = await openBrowser();
  const fleet = await openFleet(tradesPerSecond).catch(async (error: unknown) => {
    await browser.close();
    throw error;
  });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  try {
    const server = await fleet.stage.service('console', { CONSOLE_PORT: String(port) });
    const results: ConsoleResult[] = [];
    for (const path of PAGES) {
      const firstViewMs = await firstView(browser, `${url}${path}`);
      const page = await newPage(browser);
      await show(page, `${url}${path}`);
      await sleep(2_000);
      const [stored, cpu, from] = [rows(await metricsOf(fleet.distributor)), cpuSeconds(server.pid), performance.now()];
      const frames = await framesOf(page, seconds);
      const elapsed = (performance.now() - from) / 1000;
      results.push({
        page: path, firstViewMs, ...frames, serverCpu: (cpuSeconds(server.pid) - cpu) / elapsed,
        tradesPerSecond: (rows(await metricsOf(fleet.distributor)) - stored) / elapsed,
      });
      await page.context().close();
    }
    return results;
  } finally {
    await browser.close();
    await closeFleet(fleet);
  }
}

/** What `npm run bench -- console` prints. */
export const consoleTables = (results: readonly ConsoleResult[] | null): { result: unknown; rows: Record<string, string>[] }[] => [{
  result: results,
  rows: results === null ? [{ page: 'not measured: no Chromium on the PATH' }] : results.map((r) => ({
    page: r.page,
    'trades/s': rate(r.tradesPerSecond),
    'first view ms (≤ 1,000)': r.firstViewMs.toFixed(0),
    'server, of one core (< 15 %)': `${(r.serverCpu * 100).toFixed(1)} %`,
    'frames/s (≥ 30)': r.framesPerSecond.toFixed(0),
    'longest frame ms': r.longestFrameMs.toFixed(0),
  })),
}];

const newPage = async (browser: Browser): Promise<Page> => (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();

/** Resolves when the first figures are there. */
async function show(page: Page, url: string): Promise<void> {
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator('main .panel').first().waitFor();
}

async function firstView(browser: Browser, url: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < VIEWS; n++) {
    const page = await newPage(browser);
    const from = performance.now();
    await show(page, url);
    times.push(performance.now() - from);
    await page.context().close();
  }
  return times.sort((a, b) => a - b)[Math.floor(VIEWS / 2)]!;
}

/** What the page painted for so long. */
const framesOf = (page: Page, seconds: number): Promise<{ framesPerSecond: number; longestFrameMs: number }> => page.evaluate(`new Promise((resolve) => {
  const begun = performance.now();
  let last = begun, frames = 0, longest = 0;
  const next = (now) => {
    frames++;
    longest = Math.max(longest, now - last);
    last = now;
    if (now - begun < ${seconds * 1000}) requestAnimationFrame(next);
    else resolve({ framesPerSecond: frames * 1000 / (now - begun), longestFrameMs: longest });
  };
  requestAnimationFrame(next);
})`);
