// (market, symbol) → instrument_id, remembered. An instrument that no list has told of gets a stub row, once, and is reported.
import type { StreamMessage } from '../../contracts/index.ts';
import { findInstrumentIds, insertStubInstrument, loadInstrumentIds, type InstrumentKey } from '../../store/instruments.ts';
import type { Client } from '../../store/connect.ts';

type Queryable = Pick<Client, 'query'>;

export interface InstrumentIdsOptions {
  /** The exchange that a market belongs to; null for one that is not in the registry. */
  exchangeOf: (marketId: string) => string | null;
  /** A stub row was made. */
  onStub: (key: InstrumentKey, instrumentId: number) => void;
}

export class InstrumentIds {
  readonly #options: InstrumentIdsOptions;
  readonly #markets = new Map<string, Map<string, number>>();

  constructor(options: InstrumentIdsOptions) {
    this.#options = options;
  }

  /** Reads all that are known to the database. */
  async load(client: Queryable): Promise<void> {
    for (const { marketId, symbol, instrumentId } of await loadInstrumentIds(client)) this.#remember(marketId, symbol, instrumentId);
  }

  /** The number, or undefined when it has to be resolved. */
  get(message: StreamMessage): number | undefined {
    return message.symbol === null ? undefined : this.#markets.get(message.market_id)?.get(message.symbol);
  }

  /** Finds or makes the rows of `keys`; afterwards get() knows them all. Rejects with the database's error. */
  async resolve(client: Queryable, keys: readonly InstrumentKey[]): Promise<void> {
    const wanted = new Map(keys.map((key) => [`${key.marketId} ${key.symbol}`, key]));
    const found = await findInstrumentIds(client, [...wanted.values()]);
    for (const { marketId, symbol, instrumentId } of found) {
      this.#remember(marketId, symbol, instrumentId);
      wanted.delete(`${marketId} ${symbol}`);
    }
    for (const key of wanted.values()) await this.#makeStub(client, key);
  }

  async #makeStub(client: Queryable, key: InstrumentKey): Promise<void> {
    const exchange = this.#options.exchangeOf(key.marketId) ?? key.marketId;
    const made = await insertStubInstrument(client, key, exchange);
    const instrumentId = made ?? (await findInstrumentIds(client, [key]))[0]?.instrumentId;
    if (instrumentId === undefined) throw new Error(`instrument ${key.marketId} ${key.symbol} is neither there nor to be made`);
    this.#remember(key.marketId, key.symbol, instrumentId);
    if (made !== null) this.#options.onStub(key, made);
  }

  #remember(marketId: string, symbol: string, instrumentId: number): void {
    let market = this.#markets.get(marketId);
    if (market === undefined) this.#markets.set(own(marketId), (market = new Map()));
    market.set(own(symbol), instrumentId);
  }
}

/** A copy: a slice of a payload would keep the whole chunk it was read in alive. */
const own = (text: string): string => Buffer.from(text).toString();
