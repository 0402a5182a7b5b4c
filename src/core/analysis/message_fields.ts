// What the analysis needs of a message, as numbers: statistics are estimates, so doubles do. One object is filled again and again.

export class MessageFields {
  kind: 'trade' | 'ticker' = 'trade';
  /** µs since the epoch. */
  exchangeTs = 0;
  receivedTs = 0;
  price = Number.NaN;
  amount = Number.NaN;
  isBuy = false;
  isLiquidation = false;
  /** NaN where a ticker has no such value. */
  bid = Number.NaN;
  ask = Number.NaN;
  openInterest = Number.NaN;
  fundingRate = Number.NaN;
  /** Percent. */
  markIv = Number.NaN;

  /** Everything that a message may leave out is as if it had not been told. */
  clear(): void {
    this.price = this.amount = this.bid = this.ask = this.openInterest = this.fundingRate = this.markIv = Number.NaN;
    this.isBuy = this.isLiquidation = false;
  }
}
