// The simulator's ledger of truth, read back: every trade it made, by symbol.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface LedgerTrade {
  id: string;
  seq: number;
  seqLast: number;
  price: string;
  amount: string;
  side: string;
  tsMicros: number;
  /** Put on the wire to at least one subscriber. */
  sent: boolean;
}

export interface LedgerSymbol {
  marketId: string;
  symbol: string;
  /** By trade id, in the order they were made. */
  trades: Map<string, LedgerTrade>;
}

interface TradeLine {
  k: string;
  market_id: string;
  symbol: string;
  trade_id: string;
  seq: number;
  seq_last: number;
  price: string;
  amount: string;
  side: string;
  ts: number;
  sent: boolean;
}

/** Reads the whole ledger; symbols by `market symbol`. A half-written last line (a killed simulator) is left out. */
export async function readLedger(file: string): Promise<Map<string, LedgerSymbol>> {
  const symbols = new Map<string, LedgerSymbol>();
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity });
  for await (const line of lines) {
    if (!line.startsWith('{"k":"trade"') || !line.endsWith('}')) continue;
    const entry = JSON.parse(line) as TradeLine;
    const key = `${entry.market_id} ${entry.symbol}`;
    let symbol = symbols.get(key);
    if (symbol === undefined) symbols.set(key, (symbol = { marketId: entry.market_id, symbol: entry.symbol, trades: new Map() }));
    const before = symbol.trades.get(entry.trade_id);
    if (before !== undefined) before.sent ||= entry.sent;
    else {
      symbol.trades.set(entry.trade_id, {
        id: entry.trade_id, seq: entry.seq, seqLast: entry.seq_last, price: entry.price, amount: entry.amount,
        side: entry.side, tsMicros: entry.ts, sent: entry.sent,
      });
    }
  }
  return symbols;
}

/**
 * Trades of a symbol that the fleet had to get: from the first to the last one that was sent to it, withheld ones between included.
 * `firstStored`: the recording begins with the first trade that arrived. One before it, on a connection that broke at once, is
 * nothing that anybody could know to be missing; where nothing is stored at all, everything is owed.
 */
export function owedTrades(symbol: LedgerSymbol, firstStored = -Infinity): LedgerTrade[] {
  const all = [...symbol.trades.values()];
  const first = all.findIndex((trade) => trade.sent && trade.seq >= firstStored);
  const last = all.findLastIndex((trade) => trade.sent);
  return first < 0 ? [] : all.slice(first, last + 1);
}

/** The same number without padding zeros, for comparing texts exactly: `85500.50` and `85500.5` are one. */
export function canonicalDecimal(text: string): string {
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  const integer = whole.replace(/^0+(?=\d)/, '');
  const rest = fraction.replace(/0+$/, '');
  const plain = rest === '' ? integer : `${integer}.${rest}`;
  return negative && plain !== '0' ? `-${plain}` : plain;
}
