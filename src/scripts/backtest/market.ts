// The market of a backtest as the simulator's matching sees it: one instrument whose prices are what was stored. Numbers come in as
// fast as they are read; exact decimals are made of them only when somebody trades.
import { plainDecimal } from '../../core/decimal.ts';
import type { Contract } from '../../simulator/deribit/private/contract.ts';
import { dec, max, ONE, type Dec } from '../../simulator/deribit/private/money.ts';
import type { Level, MarketSource, Printed } from '../../simulator/deribit/private/source.ts';

/** More than anybody trades: orders are taken to be small beside the market. */
const PLENTY = ONE * 10n ** 12n;

export class ReplayMarket implements MarketSource {
  readonly #contract: Contract;
  readonly #slippage: Dec;
  /** The last price told by a candle, a trade or a quote; NaN: none yet. */
  last = NaN;
  /** The venue's mark and index where quotes are replayed, else the last price. */
  #mark = NaN;
  #index = NaN;
  #bid = NaN;
  #ask = NaN;
  #quoted = false;
  #version = 0;
  #printed = 0;

  /** Without quotes, takers pay `slippageTicks` beyond the last price. */
  constructor(contract: Contract, slippageTicks: number) {
    this.#contract = contract;
    this.#slippage = contract.tick * BigInt(slippageTicks);
  }

  /** A price was traded at. */
  trade(price: number): void {
    this.last = price;
    this.#version++;
  }

  /** Quotes; NaN: there is none. */
  quote(bid: number, ask: number, last: number, mark: number, index: number): void {
    this.#quoted = true;
    this.#bid = bid;
    this.#ask = ask;
    this.#mark = mark;
    this.#index = index;
    // What has no last price has a middle.
    if (!Number.isNaN(last)) this.last = last;
    else if (Number.isNaN(this.last)) this.last = (bid + ask) / 2;
    this.#version++;
  }

  /** What positions are valued at. */
  get markPrice(): number {
    return Number.isNaN(this.#mark) ? this.last : this.#mark;
  }

  contract(symbol: string): Contract | null {
    return symbol === this.#contract.symbol ? this.#contract : null;
  }

  contracts(): Iterable<Contract> {
    return [this.#contract];
  }

  best(): { bid: Dec; ask: Dec } {
    if (this.#quoted) return { bid: Number.isNaN(this.#bid) ? 0n : decOf(this.#bid), ask: Number.isNaN(this.#ask) ? PLENTY : decOf(this.#ask) };
    const last = decOf(this.last);
    return { bid: max(this.#contract.tick, last - this.#slippage), ask: last + this.#slippage };
  }

  depth(): { bids: readonly Level[]; asks: readonly Level[]; version: number } {
    const { bid, ask } = this.best();
    return {
      bids: bid === 0n ? [] : [{ price: bid, amount: PLENTY }], asks: ask === PLENTY ? [] : [{ price: ask, amount: PLENTY }], version: this.#version,
    };
  }

  mark(): Dec {
    return decOf(this.markPrice);
  }

  index(): Dec {
    return Number.isNaN(this.#index) ? this.mark() : decOf(this.#index);
  }

  /** The exchange's band moves with what is not stored: the risk gate's collar stands alone. */
  band(): { min: Dec; max: Dec } {
    return { min: 0n, max: PLENTY };
  }

  print(): Printed {
    const tradeSeq = ++this.#printed;
    return { tradeId: `bt-${tradeSeq}`, tradeSeq, tickDirection: 0 };
  }
}

/** The shortest decimal that is this number: what was stored. */
export function decOf(value: number): Dec {
  return dec(plainDecimal(String(value)) ?? '0');
}
