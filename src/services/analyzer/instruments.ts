// What the instruments are called across exchanges, from the database, refreshed now and then. Without a database everything works but
// the comparison of markets.
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstrumentKnowledge } from '../../core/analysis/analysis.ts';
import { toError } from '../../core/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { loadInstrumentNames } from '../../store/instrument_names.ts';

const REFRESH_MS = 60_000;
const RETRY_MS = 5_000;

export class InstrumentNames {
  #names = new Map<string, Map<string, InstrumentKnowledge>>();
  #state: 'well' | 'troubled' = 'well';

  readonly get = (marketId: string, symbol: string): InstrumentKnowledge | undefined => this.#names.get(marketId)?.get(symbol);

  /** Loads once; false when the database did not answer. Never rejects. */
  async load(pool: Pool, log: Pick<Logger, 'warn'>): Promise<boolean> {
    try {
      const names = new Map<string, Map<string, InstrumentKnowledge>>();
      for (const { marketId, symbol, ...known } of await loadInstrumentNames(pool)) {
        const market = names.get(marketId) ?? new Map<string, InstrumentKnowledge>();
        names.set(marketId, market.set(symbol, known));
      }
      this.#names = names;
      this.#state = 'well';
      return true;
    } catch (error) {
      if (this.#state === 'well') log.warn({ err: toError(error) }, 'instruments are not known: markets are not compared until they are');
      this.#state = 'troubled';
      return false;
    }
  }

  /** Keeps them fresh until `signal` aborts. */
  async run(pool: Pool, log: Pick<Logger, 'warn'>, signal: AbortSignal): Promise<void> {
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      await sleep(this.#state === 'well' ? REFRESH_MS : RETRY_MS, undefined, { signal }).catch(() => undefined);
      if (!ended()) await this.load(pool, log);
    }
  }
}
