// Generated markets with anomalies planted in them, to see what the analyzer finds: twenty symbols that are two markets each of ten
// unified ones, or as many as are asked for. Seeded: the same seed gives the same messages to the last digit.
import { MessageFields } from '../../core/analysis/message_fields.ts';
import { Prng, hashText } from '../../simulator/prng.ts';

export const PLANTED_KINDS = [
  'price_spike', 'volume_spike', 'spread_blowout', 'crossed_quote', 'divergence', 'stale_feed', 'liquidation_cascade', 'volatility_regime',
] as const;
export type PlantedKind = (typeof PLANTED_KINDS)[number];

export interface Plant {
  readonly kind: PlantedKind;
  /** Seconds since the start. */
  readonly from: number;
  readonly to: number;
}

/** How long each lasts, s. */
const LASTS: Readonly<Record<PlantedKind, number>> = {
  price_spike: 2, volume_spike: 40, spread_blowout: 5, crossed_quote: 2, divergence: 10, stale_feed: 200, liquidation_cascade: 20, volatility_regime: 150,
};
/** Nothing is planted before this: what is usual must be known first; then one anomaly every SPACING_S. */
const WARM_UP_S = 1_800;
const SPACING_S = 1_200;
const START = 1_790_000_000_000_000;
const LIMIT_S = 48 * 3_600;

/** Two markets of one unified symbol; anomalies happen in the first one. */
export interface Pair {
  readonly unified: string;
  readonly symbol: string;
  readonly plants: readonly Plant[];
}

const MARKET_IDS = ['binance_spot', 'deribit'] as const;

/** Pairs that have `count` anomalies together, and how many seconds it takes to show them. */
export function plantedPairs(pairs: number, count: number, seed: number): { pairs: Pair[]; seconds: number } {
  const random = new Prng(seed);
  const perPair = Math.ceil(count / pairs);
  const all = Array.from({ length: pairs }, (_pair, p): Pair => ({
    unified: `C${p}/USD`, symbol: `C${p}USD`,
    plants: Array.from({ length: Math.max(0, Math.min(perPair, count - p * perPair)) }, (_plant, n) => {
      const kind = PLANTED_KINDS[(p * perPair + n) % PLANTED_KINDS.length]!;
      const from = WARM_UP_S + n * SPACING_S + Math.floor(random.float() * 300);
      return { kind, from, to: from + LASTS[kind] };
    }),
  }));
  const seconds = WARM_UP_S + Math.max(perPair, 1) * SPACING_S + 600;
  if (seconds > LIMIT_S) throw new Error(`${count} anomalies need more than ${pairs} pairs`);
  return { pairs: all, seconds };
}

/** One market of a pair, as it walks. */
class Walk {
  readonly marketId: string;
  readonly pair: Pair;
  readonly #random: Prng;
  readonly #isFirst: boolean;
  readonly #rate: number;
  #basis = 0;

  constructor(pair: Pair, n: number, seed: number) {
    this.marketId = MARKET_IDS[n]!;
    this.pair = pair;
    this.#isFirst = n === 0;
    this.#random = new Prng(hashText(`${seed} ${pair.symbol} ${this.marketId}`));
    // From one trade in two seconds to four a second.
    this.#rate = 0.5 * 2 ** (this.#random.float() * 3);
  }

  /** The messages of one second, by time; `level` is ln of the common price. */
  second(at: number, level: number, emit: (walk: Walk, fields: MessageFields) => void): void {
    const kind = this.#isFirst ? this.pair.plants.find(({ from, to }) => at >= from && at < to)?.kind : undefined;
    this.#basis = 0.98 * this.#basis + 0.3e-4 * normal(this.#random);
    const price = Math.exp(level + this.#basis);
    if (kind === 'stale_feed') return;
    const ts = START + at * 1_000_000;
    const trades = poisson(this.#random, this.#rate * (kind === 'liquidation_cascade' || kind === 'volume_spike' ? 3 : 1));
    for (let n = 0; n < trades; n++) {
      const fields = message('trade', ts + Math.floor((n * 900_000) / trades));
      fields.price = price * Math.exp(0.5e-4 * normal(this.#random));
      fields.amount = Math.exp(normal(this.#random)) * (kind === 'volume_spike' ? 25 : 1);
      fields.isBuy = this.#random.float() < 0.5;
      fields.isLiquidation = kind === 'liquidation_cascade' || this.#random.float() < 0.002;
      emit(this, fields);
    }
    const fields = message('ticker', ts + 950_000);
    const shifted = price * (kind === 'divergence' ? 1.006 : 1);
    const half = 0.5e-4 * (1 + this.#random.float()) * (kind === 'spread_blowout' ? 30 : kind === 'crossed_quote' ? -1 : 1);
    fields.bid = shifted * (1 - half);
    fields.ask = shifted * (1 + half);
    emit(this, fields);
  }
}

/** Gives every message of `seconds` seconds, in order; the object is the caller's until the next one. */
export function play(pairs: readonly Pair[], seconds: number, seed: number, emit: (marketId: string, symbol: string, fields: MessageFields) => void): void {
  const random = new Prng(seed ^ 0x5eed);
  const walks = pairs.map((pair) => {
    const markets = MARKET_IDS.map((_id, n) => new Walk(pair, n, seed));
    return { pair, level: Math.log(100 + 1_000 * random.float()), calm: 0, markets };
  });
  for (let at = 0; at < seconds; at++) {
    for (const walk of walks) {
      const plant = walk.pair.plants.find(({ from, to }) => at >= from && at < to);
      // Volatility wanders by itself, within a factor of two or so.
      walk.calm = 0.999 * walk.calm + 0.01 * normal(random);
      const sigma = 1e-4 * Math.exp(walk.calm) * (plant?.kind === 'volatility_regime' ? 7 : 1);
      walk.level += sigma * fatTailed(random);
      if (plant?.kind === 'price_spike' && at === plant.from) walk.level += (random.float() < 0.5 ? -1 : 1) * (0.006 + 0.01 * random.float());
      for (const market of walk.markets) market.second(at, walk.level, (of, fields) => emit(of.marketId, of.pair.symbol, fields));
    }
  }
}

/** Microseconds since the epoch of a second of play(). */
export const momentOf = (second: number): number => START + second * 1_000_000;

const shared = new MessageFields();
function message(kind: 'trade' | 'ticker', ts: number): MessageFields {
  shared.clear();
  shared.kind = kind;
  shared.exchangeTs = ts;
  shared.receivedTs = ts + 20_000;
  return shared;
}

function normal(random: Prng): number {
  return Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
}

/** Student's t with five degrees of freedom, scaled to unit variance: returns have such tails. */
function fatTailed(random: Prng): number {
  let square = 0;
  for (let n = 0; n < 5; n++) square += normal(random) ** 2;
  return (normal(random) / Math.sqrt(square / 5)) * Math.sqrt(3 / 5);
}

function poisson(random: Prng, mean: number): number {
  const limit = Math.exp(-mean);
  let n = 0;
  for (let product = random.float(); product > limit; product *= random.float()) n++;
  return n;
}
