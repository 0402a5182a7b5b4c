// What the executor's parts are given: nothing in this folder opens a connection, reads a clock or draws a number by itself, so
// that the safety checker can run all of it in virtual time against the simulator.
import type { OrderUpdate } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { FillRecord, OrderRecord, PositionRecord, TradingStore } from '../../core/trading/records.ts';
import type { BookTerms, TradingVenue } from '../../exchanges/trading.ts';
import type { Logger } from '../../runtime/log.ts';

/** What the books and the checks must know of an instrument; decimals are text. */
export interface InstrumentTerms {
  marketId: string;
  symbol: string;
  kind: 'spot' | 'perpetual' | 'future' | 'option' | 'combo';
  /** P&L by reciprocal prices (core/trading/position.ts). */
  reciprocal: boolean;
  settle: string | null;
  quote: string;
  tickSize: string;
  /** Above these prices another tick holds (options); ascending. */
  tickSteps: readonly { above: string; tick: string }[];
  minAmount: string;
  amountStep: string;
  /** µs; null: never. */
  expiryTs: number | null;
  /** `open` is tradable. */
  status: string;
}

export interface Terms {
  of(symbol: string): InstrumentTerms | null;
  /** What the name alone tells. Absent: nothing. */
  named?(symbol: string): BookTerms;
}

/** How the books of an instrument are kept, whether it is among ours or not: of what has expired long ago there are fills, too. */
export function bookTerms(terms: Terms, symbol: string): BookTerms {
  const known = terms.of(symbol);
  if (known !== null) return { reciprocal: known.reciprocal, settle: known.settle, position: known.kind !== 'spot' && known.kind !== 'combo' };
  return terms.named?.(symbol) ?? { reciprocal: false, settle: null, position: true };
}

export interface DeskPorts {
  store: TradingStore;
  venue: TradingVenue;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Resolves after `ms`; rejects when the process shall end. */
  pause: (ms: number) => Promise<void>;
  account: string;
  marketId: string;
  epoch: number;
  terms: Terms;
  /** Asked right before a request leaves; why it must not, or null. Kill switch, leadership, state, deadline. */
  fence: (order: OrderRecord) => string | null;
  /** Publishes to stream:order_updates. A hint: the tables are the truth. */
  tell: (update: Omit<OrderUpdate, 'v' | 'account' | 'ts'>) => void;
  /** Told of every row that changed, after its commit: the books in memory. */
  booked: {
    order(order: OrderRecord): void;
    fill(fill: FillRecord): void;
    position(position: PositionRecord): void;
  };
  /** A persistent disagreement or a state that must not be: stop trading and say why. */
  lock: (reason: string) => void;
}
