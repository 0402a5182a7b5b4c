// Built-in strategies: each is run beside the intake, and its signals take the same way through the gate as those of stream:signals.
import type { Signal } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import type { TradingMode } from '../../core/trading/mode.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import type { Redis } from 'ioredis';
import type { SignalOutcome } from './intake.ts';

export interface RunnerHost {
  mode: TradingMode;
  marketId: string;
  redis: Redis;
  pool: Pool;
  clock: Clock;
  log: ServiceContext['log'];
  /** Aborts when this life of the executor ends. */
  signal: AbortSignal;
  /** Signed amounts of what is not flat. */
  positions: () => ReadonlyMap<string, string>;
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
  if (file !== null) throw new UsageError(`STRATEGIES_FILE: ${file}: this build has no built-in strategies`);
  return [];
}
