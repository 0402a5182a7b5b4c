// (market, symbol) → instrument_id, remembered. An instrument that no list has told of gets a stub row, once, and is reported.
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
  /** By the text `<market_id>","symbol":"<symbol>`, as it stands in a payload: one look-up, and no key is made of parts. */
  readonly #ids = new Map<string, number>();
  /** The same by a hash of the text's bytes, with the bytes to be sure. */
  readonly #byHash = new Map<number, Known[]>();

  constructor(options: InstrumentIdsOptions) {
    this.#options = options;
  }

  /** Reads all that are known to the database. */
  async load(client: Queryable): Promise<void> {
    for (const { marketId, symbol, instrumentId } of await loadInstrumentIds(client)) this.#remember(marketId, symbol, instrumentId);
  }

  /** The number, or 0 when it has to be resolved. */
  get(marketId: string, symbol: string): number {
    return this.#ids.get(keyOf(marketId, symbol)) ?? 0;
  }

  /** The same for the key's bytes (ASCII) in a payload. */
  byKey(source: Uint8Array, start: number, end: number): number {
    const known = this.#byHash.get(hashOf(source, start, end));
    if (known === undefined) return 0;
    for (const { bytes, instrumentId } of known) if (equal(bytes, source, start, end)) return instrumentId;
    return 0;
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
    const bytes = Buffer.from(keyOf(marketId, symbol));
    // From the bytes: a slice of a payload would keep the whole chunk it was read in alive.
    this.#ids.set(bytes.toString(), instrumentId);
    const hash = hashOf(bytes, 0, bytes.length);
    const others = (this.#byHash.get(hash) ?? []).filter((other) => !equal(other.bytes, bytes, 0, bytes.length));
    this.#byHash.set(hash, [...others, { bytes, instrumentId }]);
  }
}

interface Known {
  readonly bytes: Uint8Array;
  readonly instrumentId: number;
}

const HASHED = 16;
const keyOf = (marketId: string, symbol: string): string => `${marketId}","symbol":"${symbol}`;

/** Of the last bytes, in which symbols differ most. */
function hashOf(source: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = Math.max(start, end - HASHED); i < end; i++) hash = (Math.imul(hash, 31) + (source[i] ?? 0)) | 0;
  return hash;
}

function equal(known: Uint8Array, source: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== source[start + i]) return false;
  return true;
}
