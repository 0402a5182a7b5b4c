// Built-in strategies: each is run beside the intake, and its signals take the same way through the gate as those of stream:signals.
import { readFileSync } from 'node:fs';
import type { Signal } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { UsageError, toError } from '../../core/errors.ts';
import type { TradingMode } from '../../core/trading/mode.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import type { Redis } from 'ioredis';
import type { AccountBook } from './account_book.ts';
import type { SignalOutcome } from './intake.ts';
import { livePast, liveTerms, liveViews } from './strategies/live.ts';
import { parseStrategies } from './strategies/parse_strategies.ts';
import { runStrategy } from './strategies/runner.ts';

export interface RunnerHost {
  mode: TradingMode;
  marketId: string;
  redis: Redis;
  pool: Pool;
  clock: Clock;
  log: ServiceContext['log'];
  /** Aborts when this life of the executor ends. */
  signal: AbortSignal;
  /** Positions and working orders; empty where nothing is ever sent. */
  book: AccountBook;
  /** Sends a signal; resolves with its outcome. */
  send: (signal: Signal) => Promise<SignalOutcome>;
}

export interface Runner {
  readonly name: string;
  /** Runs until `host.signal` aborts. A rejection ends this runner alone, with a log line. */
  run(host: RunnerHost): Promise<void>;
}

/** The runners of STRATEGIES_FILE. Throws UsageError that names the file, the key and the value. */
export function runnersOf(file: string | null): readonly Runner[] {
  if (file === null) return [];
  let yaml: string;
  try {
    yaml = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`STRATEGIES_FILE: ${file} cannot be read: ${toError(error).message.split(',')[0]}`);
  }
  const markets = Object.values(MARKETS).filter(({ trading }) => trading !== undefined).map(({ marketId }) => marketId);
  return parseStrategies(yaml, file, markets).map((entry): Runner => ({
    name: entry.name,
    async run(host) {
      const terms = await liveTerms(host, entry);
      await runStrategy(entry, {
        trader: { book: host.book, signal: host.send }, terms: { of: () => terms }, log: host.log, signal: host.signal,
        past: (of, candles) => livePast(host, of, candles), views: (of, signal) => liveViews(host, of, signal),
      });
    },
  }));
}
