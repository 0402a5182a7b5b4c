// `npm run demo` and `npm run live`: the whole fleet on this machine with a live view, or headless with a verdict.
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { FiguresReader } from './demo/figures.ts';
import { startFleet, type Fleet } from './demo/fleet.ts';
import { USAGE, parseOptions, type DemoOptions } from './demo/options.ts';
import { checkedRun } from './demo/run.ts';
import { Screen, count, render, summaryLine, type Caption } from './demo/screen.ts';
import type { Snapshot } from './demo/snapshot.ts';

const DRAW_EVERY_MS = 500;
const LINE_EVERY_MS = 3_000;
const CLOSE_DEADLINE_MS = 9_500;

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env, Object.keys(MARKETS));
  if (options === null) {
    say(USAGE);
    return 0;
  }
  const stop = new AbortController();
  const onSignal = (): void => {
    // A second Ctrl-C: leave at once; the kernel ends the children with us.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
    setTimeout(() => process.exit(1), CLOSE_DEADLINE_MS).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  // `npm run demo | head`: whoever read has gone.
  process.stdout.on('error', () => {
    if (!stop.signal.aborted) onSignal();
  });

  const clock = systemClock();
  const bornMs = clock.monotonicMs() - process.uptime() * 1000;
  const startedAt = new Date(clock.nowMicros() / 1000).toISOString();
  const fleet = await startFleet(options, process.env, say, stop.signal);
  const reader = new FiguresReader(fleet, clock);
  const view = new View(fleet, reader, () => (clock.monotonicMs() - bornMs) / 1000);
  try {
    view.open();
    if (options.durationS === null) await untilAborted(stop.signal);
    else {
      const report = await checkedRun({
        fleet,
        reader,
        signal: stop.signal,
        startedAt,
        say: (line) => view.say(line),
        firstRowS: () => view.firstRowS,
        lastSnapshot: () => view.last,
      });
      if (report !== null) return report.ok ? 0 : 1;
    }
    return 0;
  } finally {
    await view.close();
    await close(fleet, reader, options, view.last);
  }
}

async function close(fleet: Fleet, reader: FiguresReader, options: DemoOptions, last: Snapshot | null): Promise<void> {
  say('stopping …');
  await reader.close();
  const killed = await fleet.stop();
  if (killed.length > 0) say(`had to be killed: ${killed.join(', ')}`);
  say(
    `stopped; ${count(last?.rows.total ?? 0)} trade rows in ${fleet.folder}${options.mode === 'live' ? ' (kept)' : ' (until the next start)'}`,
  );
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Reads figures twice a second and shows them: a screen on a terminal, a line now and then elsewhere. */
class View {
  last: Snapshot | null = null;
  firstRowS: number | null = null;
  readonly #reader: FiguresReader;
  readonly #sinceStartS: () => number;
  readonly #caption: Caption;
  readonly #screen: Screen | null;
  #running: Promise<void> = Promise.resolve();
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(fleet: Fleet, reader: FiguresReader, sinceStartS: () => number) {
    const { options } = fleet;
    this.#reader = reader;
    this.#sinceStartS = sinceStartS;
    const source =
      options.mode === 'live'
        ? 'real exchanges, public data'
        : options.replay === null
          ? `simulator, seed ${options.seed}`
          : 'simulator, replay';
    this.#caption = {
      title: `tapekeeper · ${source}`,
      database: fleet.postgres.url,
      redis: fleet.redis.url,
      logs: fleet.logDir,
      console: fleet.consoleUrl,
    };
    const interactive = process.stdout.isTTY && options.durationS === null;
    this.#screen = interactive ? new Screen(process.stdout, process.env['NO_COLOR'] === undefined) : null;
  }

  open(): void {
    if (this.#screen === null)
      for (const line of [
        `console ${this.#caption.console}`,
        `psql ${this.#caption.database}`,
        `redis-cli -u ${this.#caption.redis}`,
        'Ctrl-C stops everything',
      ])
        say(line);
    this.#running = this.#loop();
  }

  say(line: string): void {
    say(line);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
    this.#screen?.close();
  }

  async #loop(): Promise<void> {
    let sinceLine = LINE_EVERY_MS;
    while (!this.#closed) {
      this.last = await this.#reader.read();
      if (this.firstRowS === null && this.last.rows.total > 0) {
        this.firstRowS = Math.round(this.#sinceStartS() * 10) / 10;
        if (this.#screen === null) say(`first committed rows ${this.firstRowS} s after the start`);
      }
      this.#show(this.last, sinceLine >= LINE_EVERY_MS);
      sinceLine = sinceLine >= LINE_EVERY_MS ? DRAW_EVERY_MS : sinceLine + DRAW_EVERY_MS;
      await this.#pause();
    }
  }

  #show(view: Snapshot, lineIsDue: boolean): void {
    if (this.#closed) return;
    if (this.#screen !== null)
      this.#screen.draw(render(view, this.#caption, this.#screen.size.width, this.#screen.size.height));
    else if (lineIsDue) say(summaryLine(view));
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, DRAW_EVERY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
