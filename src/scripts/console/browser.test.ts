// The console's pages in a real Chromium, over a running fleet: live figures, keyboard, sizes, labels, contrast, and markup in a name.
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dlqStreamMarketDataKey, streamSystemEventsKey, subscriptionsKey, tickerKey } from '../../contracts/index.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openConsole, type RunningConsole } from '../../testing/console.ts';
import { openStage, runInProcess, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import { chromiumPath, openBrowser } from './browser.ts';
import { offences } from './checks.ts';

const PAGES = ['/', '/feeds', '/completeness', '/market', '/events', '/dlq', '/trading'];
const NASTY = '<img/src=x/onerror=alert(1)>';
const CHANGED = 'ERR_NETWORK_CHANGED';
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const ready = redisServerInstalled() && chromiumPath() !== null;
if (chromiumPath() === null) process.stdout.write('no Chromium on the PATH: the console\'s pages are not tested (apt-get install chromium)\n');

describe.skipIf(!ready)('the pages', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let services: RunningReceiver[];
  let console_: RunningConsole;
  let browser: Browser;
  let redis: Redis;
  let context: BrowserContext;
  let page: Page;
  let said: string[];

  beforeAll(async () => {
    [database, stage, browser] = await Promise.all([
      freshDatabase('console_pages', { migrated: true }),
      openStage({ MARKETS: 'deribit,binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL' }, { rate: 60 }),
      openBrowser(),
    ]);
    const env = { ...stage.env, DATABASE_URL: database.url, UNLOCK_POLICY: 'auto' };
    await runInProcess('janitor', bootstrap, env);
    services = [await runInProcess('distributor', distribute, env), await stage.receive({ DATABASE_URL: database.url })];
    redis = new Redis(stage.redis.url);
    // An exchange may call an instrument whatever it likes.
    const client = new pg.Client(database.url);
    await client.connect();
    await client.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('deribit', $1, 'deribit', 'open')`, [NASTY]);
    await client.end();
    await redis.sadd(subscriptionsKey('deribit'), `ticker:${NASTY}`);
    await redis.hset(tickerKey('deribit', NASTY), { last_price: NASTY, received_ts: '1790755218589000', feed_status: NASTY });
    await redis.xadd(dlqStreamMarketDataKey, '*', 'payload', `{"symbol":"${NASTY}"}`, 'error', `symbol: ${NASTY}`, 'error_class', 'schema', 'failed_at',
      '1790755218589000', 'deliveries', '2');
    console_ = await openConsole(env);
  }, 90_000);
  afterAll(async () => {
    await browser.close();
    await console_.process.stop();
    redis.disconnect();
    for (const service of services.reverse()) await service.stop();
    await stage.close();
    await database.drop();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: WIDE, colorScheme: 'dark' });
    page = await context.newPage();
    said = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) said.push(message.text());
    });
    page.on('pageerror', (error) => said.push(String(error)));
    page.on('dialog', (dialog) => {
      said.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  });
  afterEach(async () => {
    await context.close();
    expect(said.filter((line) => !line.includes(CHANGED))).toEqual([]);
  });
  const open = async (path: string): Promise<void> => {
    // Chromium drops what it is loading when an interface of this machine comes or goes (somebody's containers): then once more.
    await page.goto(`${console_.url}${path}`);
    const live = page.locator('#link[data-state=live]');
    if (await live.waitFor({ timeout: 10_000 }).then(() => true, () => false)) return;
    if (!said.some((line) => line.includes(CHANGED))) throw new Error(`${path} is not live: ${said.join(', ')}`);
    await page.reload();
    await live.waitFor();
  };
  const poll = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: 20_000 });
  const text = (selector = 'main'): Promise<string> => page.locator(selector).innerText();

  it('shows the overview, live', async () => {
    await open('/');
    await page.getByText('Messages', { exact: true }).waitFor();
    await poll(() => text()).toMatch(/binance_spot\s+1\s+[\d.]+\/s/);
    const before = await text();
    await poll(() => text()).not.toBe(before);
    expect(await text()).toContain('HEALTHY');
    expect(await page.title()).toBe('Overview · tapekeeper');
  });

  it.each(['dark', 'light'] as const)('passes its checks on every page, %s, wide and on a phone', async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    for (const path of PAGES) {
      for (const size of [WIDE, PHONE]) {
        await page.setViewportSize(size);
        await open(path);
        await page.locator('main .panel, main .empty').first().waitFor();
        expect({ path, size, offences: await offences(page) }).toEqual({ path, size, offences: [] });
        // Wide tables scroll by themselves; the page never does sideways.
        expect({ path, size, over: await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth') }).toEqual({ path, size, over: 0 });
      }
    }
  });

  it('misses no quote where trades alone are wanted', async () => {
    await redis.sadd(subscriptionsKey('deribit'), 'trade:TRADES-ONLY');
    await open('/feeds');
    const row = page.locator('tr', { hasText: 'TRADES-ONLY' });
    await poll(() => row.innerText()).toMatch(/^TRADES-ONLY\s+not wanted\s+–/);
    await redis.srem(subscriptionsKey('deribit'), 'trade:TRADES-ONLY');
  });

  it('keeps what events say readable on a phone', async () => {
    await page.setViewportSize(PHONE);
    await redis.xadd(streamSystemEventsKey, '*', 'payload', JSON.stringify({
      event_id: 'long', type: 'gap.closed', severity: 'info', market_id: 'deribit', symbol: 'BTC-PERPETUAL', ts: Date.now() * 1000,
      data: { reason: 'the connection was lost: connection 1 of 2: Invalid WebSocket frame (code 1006)', from_seq: 1, to_seq: 2 },
    }));
    await open('/events?family=gap');
    const row = page.locator('tbody tr').first();
    await row.waitFor();
    expect((await row.boundingBox())!.height).toBeLessThan(120);
  });

  it('shows markup in names as text', async () => {
    for (const path of ['/feeds', '/dlq']) {
      await open(path);
      await poll(() => text()).toContain(NASTY);
      expect(await page.locator('main img').count()).toBe(0);
    }
    await open(`/market?show=${encodeURIComponent(`deribit:${NASTY}`)}`);
    await poll(() => text()).toContain(NASTY);
    expect(await page.locator('main img').count()).toBe(0);
  });

  it('draws candles and trades of several markets side by side', async () => {
    await open('/market');
    await poll(() => page.locator('.markets > section').count()).toBeGreaterThan(1);
    await poll(() => page.locator('.chart canvas').count()).toBeGreaterThan(0);
    await poll(() => page.locator('.trades tbody tr').count()).toBeGreaterThan(3);
    expect(await text('.quote >> nth=0')).toMatch(/Best bid\s+[\d.]+ × [\d.]+/);
    await page.getByLabel('Symbol').selectOption({ label: 'ETH/USD:ETH' });
    await poll(() => text('.markets')).toContain('ETH-PERPETUAL');
    expect(page.url()).toContain('show=deribit%3AETH-PERPETUAL');
  });

  it('is walked by keyboard alone', async () => {
    await open('/');
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('Skip to the content');
    await page.getByRole('link', { name: 'Completeness' }).focus();
    await page.keyboard.press('Enter');
    const fields = page.locator('.heat button');
    await fields.first().waitFor();
    expect(await page.locator('.heat button[tabindex="0"]').count()).toBe(1);
    await page.locator('.heat button[tabindex="0"]').focus();
    const first = await page.evaluate<string>('document.activeElement.dataset.symbol');
    await page.keyboard.press('ArrowDown');
    expect(await page.evaluate<string>('document.activeElement.dataset.symbol')).not.toBe(first);
    await page.keyboard.press('Enter');
    await page.getByText(/No gap is known here|Recovered/).waitFor();
    await page.getByRole('button', { name: 'Switch between dark and light' }).press('Enter');
    expect(await page.evaluate<string>('document.documentElement.dataset.theme')).toBe('light');
  });

  it('opens a dead letter, and it stays open', async () => {
    await open('/dlq');
    await page.locator('summary').first().click();
    await page.getByText(/npm run dlq -- replay \d+-\d+/).waitFor();
    await redis.xadd(dlqStreamMarketDataKey, '*', 'payload', 'no JSON', 'error', 'another', 'error_class', 'json', 'failed_at', '1790755218589000',
      'deliveries', '1');
    await page.getByText('another').waitFor();
    expect(await page.locator('details[open]').count()).toBe(1);
  });

  it('filters events by its address, and goes back', async () => {
    await open('/events?family=feed');
    await page.getByText('feed.connected').first().waitFor();
    expect(await text('tbody')).not.toContain('state.changed');
    await page.getByLabel('Severity').selectOption('critical');
    await page.getByText('Nothing of that kind has happened lately', { exact: false }).waitFor();
    expect(page.url()).toContain('severity=critical');
  });

  it('says when the connection is lost, and comes back by itself', async () => {
    await open('/');
    const port = new URL(console_.url).port;
    await console_.process.stop();
    await page.locator('#link[data-state=lost]').waitFor();
    console_ = await openConsole({ ...stage.env, DATABASE_URL: database.url, CONSOLE_PORT: port });
    await page.locator('#link[data-state=live]').waitFor();
    said = said.filter((line) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE/.test(line));
  });

  it.each([
    ['/completeness?day=garbage', /day: expected YYYY-MM-DD, got "garbage"/], ['/events?severity=bad', /severity: .*"bad"/], ['/dlq?after=zz', /after: .*"zz"/],
  ])('says what is wrong with the address %s', async (path, what) => {
    await page.goto(`${console_.url}${path}`);
    await page.locator('.trouble', { hasText: what }).waitFor();
    expect(await text()).not.toContain('Asking');
    expect(await text('#link')).toBe('refused: the page says why');
    said = said.filter((line) => !line.includes('400'));
  });

  it('shows the markets by itself once the servers answer again', async () => {
    const message = 'PostgreSQL does not answer: a test';
    await page.route('**/api/live?**', (route) => route.fulfill({
      contentType: 'text/event-stream', body: `retry: 500\ndata: {"instruments":{"error":{"code":"unavailable","message":"${message}"}}}\n\n`,
    }), { times: 2 });
    await page.goto(`${console_.url}/market`);
    await page.getByText(message).waitFor();
    await poll(() => page.locator('.chart canvas').count()).toBeGreaterThan(0);
    expect(await text()).not.toContain(message);
  });

  it('gives its connection back while nobody sees it', async () => {
    await open('/');
    const hide = (hidden: boolean): Promise<unknown> => page.evaluate(
      `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`);
    await hide(true);
    await poll(() => console_.process.metric('console_event_streams')).toBe(0);
    await hide(false);
    await poll(() => console_.process.metric('console_event_streams')).toBe(1);
  });

  it('asks for the token, and keeps it out of the reach of scripts', async () => {
    const guarded = await openConsole({ ...stage.env, DATABASE_URL: database.url, CONSOLE_TOKEN: 'a-token-of-enough-letters' });
    try {
      await page.goto(guarded.url);
      expect(await offences(page)).toEqual([]);
      await page.getByLabel(/Token of this console/).fill('not the one');
      await page.keyboard.press('Enter');
      await page.getByText('That is not the token.').waitFor();
      await page.getByLabel(/Token of this console/).fill('a-token-of-enough-letters');
      await page.keyboard.press('Enter');
      await page.locator('#link[data-state=live]').waitFor();
      expect(await page.evaluate<string>('document.cookie')).toBe('');
      said = said.filter((line) => !line.includes('401'));
      await page.goto('about:blank');
    } finally {
      await guarded.process.stop();
    }
  });
});
