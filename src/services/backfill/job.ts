// What every kind of job shares: how it is read, what it needs, and how it may fail.
import type { Logger } from '../../runtime/log.ts';
import type { EventSink } from '../../bus/events.ts';
import type { JobErrorClass } from '../../bus/queue.ts';
import type { MarketRest } from '../../exchanges/exchange.ts';
import type { Pool } from '../../store/connect.ts';
import type { TradeDays } from './days.ts';
import type { BackfillMetrics } from './metrics.ts';

/** What all jobs of a queue work with. */
export interface JobParts {
  pool: Pool;
  /** REST of a configured market, inside its rate budget; undefined for any other. */
  rest(marketId: string): MarketRest | undefined;
  nowMicros: () => number;
  days: Pick<TradeDays, 'keptFrom' | 'withPartitions' | 'forget'>;
  events: Pick<EventSink, 'emit'>;
  metrics: BackfillMetrics;
  log: Pick<Logger, 'info' | 'warn'>;
  signal: AbortSignal;
}

/** What one job works with. */
export interface JobContext extends JobParts {
  /** The exchange has answered with a page. */
  gotPage: (kind: 'candles' | 'trades') => void;
}

/** The job itself is at fault, or the exchange will never do it: it goes to the dead jobs. */
export class DeadJobError extends Error {
  override name = 'DeadJobError';
  readonly errorClass: JobErrorClass;

  constructor(errorClass: JobErrorClass, message: string, options?: ErrorOptions) {
    super(message, options);
    this.errorClass = errorClass;
  }
}

/** Not yet: to be tried again later, and counted. */
export class NotYetError extends Error {
  override name = 'NotYetError';
}
