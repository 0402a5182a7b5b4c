// What must hold after a run, whatever happened in it: reliability invariants 7 to 12 of orders, fills and positions. The exchange's
// own books are the truth; each violation is one line that names its evidence.
import { Exact } from '../../core/trading/exact.ts';
import { LIVE_STATES, mayMove } from '../../core/trading/order.ts';
import type { OrderRecord } from '../../core/trading/records.ts';
import { decText } from '../../simulator/deribit/private/money.ts';
import type { Order } from '../../simulator/deribit/private/orders.ts';
import type { VirtualExchange } from './exchange.ts';
import type { MemoryTradingStore } from './memory_store.ts';

export interface WireNote {
  method: string;
  label: string;
  healthy: boolean;
  reduceOnly: boolean;
}

export interface Evidence {
  store: MemoryTradingStore;
  exchange: VirtualExchange;
  /** Requests as they left the executor. */
  wire: readonly WireNote[];
  locked: string | null;
  /** The exchange changed a position without a fill. */
  edited: boolean;
  account: string;
  signals: readonly { id: string; acked: boolean }[];
}

export function judgeRun(evidence: Evidence): string[] {
  return [...requests(evidence), ...orders(evidence), ...fills(evidence), ...positions(evidence), ...lives(evidence)];
}

const isPlacement = (note: WireNote): boolean => note.method === 'private/buy' || note.method === 'private/sell';

/** No label is requested twice, none without an intent, none that adds risk while the system is not healthy; one order per signal. */
function requests({ wire, store, exchange }: Evidence): string[] {
  const found: string[] = [];
  const count = new Map<string, number>();
  for (const note of wire.filter(isPlacement)) {
    count.set(note.label, (count.get(note.label) ?? 0) + 1);
    if (!note.healthy && !note.reduceOnly) found.push(`${note.label}: sent while the system was not healthy`);
    if (!store.orders.some((order) => order.label === note.label)) found.push(`${note.label}: sent without an intent on record`);
  }
  for (const [label, times] of count) if (times > 1) found.push(`${label}: requested ${times} times`);
  const held = new Map<string, number>();
  for (const order of ourOrders(exchange)) held.set(order.label, (held.get(order.label) ?? 0) + 1);
  for (const [label, times] of held) if (times > 1) found.push(`${label}: ${times} orders at the exchange`);
  const bySignal = new Map<string, string[]>();
  for (const order of store.orders) if (order.signalId !== null) bySignal.set(order.signalId, [...(bySignal.get(order.signalId) ?? []), order.label]);
  for (const [signal, labels] of bySignal) if (labels.length > 1) found.push(`signal ${signal}: orders ${labels.join(', ')}`);
  return found;
}

function ourOrders(exchange: VirtualExchange): Order[] {
  const { orders } = exchange.desk.engine;
  return [...orders.open(), ...orders.closed].filter((order) => order.label.startsWith('t-'));
}

/** Every order of the exchange is known as what it is; every order of ours that the exchange has not is known not to exist. */
function orders({ store, exchange, locked }: Evidence): string[] {
  const found: string[] = [];
  const known = new Map(store.orders.filter((order) => order.exchangeOrderId !== null).map((order) => [order.exchangeOrderId!, order]));
  for (const theirs of ourOrders(exchange)) {
    const ours = known.get(theirs.id);
    if (ours === undefined || ours.label !== theirs.label) {
      found.push(`${theirs.label}: forgotten; the exchange has it as ${theirs.id} ${theirs.status}, we have it as ${stateOf(store, theirs.label)}`);
      continue;
    }
    if (!agrees(ours, theirs)) {
      found.push(`${theirs.label}: ${ours.state} ${ours.filledAmount} of ${ours.amount}, at the exchange ${theirs.status} ${decText(theirs.filled)}`);
    }
  }
  const held = new Set(ourOrders(exchange).map((order) => order.id));
  for (const ours of store.orders) {
    if (ours.origin !== 'own') continue;
    const absent = ours.exchangeOrderId === null || !held.has(ours.exchangeOrderId);
    if (absent && !['REJECTED', 'EXPIRED', 'ABANDONED'].includes(ours.state)) found.push(`${ours.label}: ${ours.state}, but the exchange has no such order`);
    const why = locked === null ? '' : ` (locked: ${locked})`;
    if (['PENDING', 'SENDING', 'UNKNOWN'].includes(ours.state)) found.push(`${ours.label}: still ${ours.state}${why}`);
    if (ours.cancelState !== null) found.push(`${ours.label}: cancellation still ${ours.cancelState}, state ${ours.state}`);
  }
  return found;
}

function stateOf(store: MemoryTradingStore, label: string): string {
  return store.orders.find((order) => order.label === label)?.state ?? 'nothing';
}

function agrees(ours: OrderRecord, theirs: Order): boolean {
  if (!new Exact(ours.filledAmount).eq(decText(theirs.filled))) return false;
  switch (theirs.status) {
    case 'open':
      return ours.state === (theirs.filled === 0n ? 'OPEN' : 'PARTIALLY_FILLED');
    case 'filled':
      return ours.state === 'FILLED';
    case 'cancelled':
      return ours.state === 'CANCELLED';
  }
}

/** Each fill of the account once, with its figures. */
function fills({ store, exchange }: Evidence): string[] {
  const found: string[] = [];
  const theirs = new Map(exchange.desk.engine.fills.map((fill) => [fill.tradeId, fill]));
  const seen = new Set<string>();
  for (const ours of store.fills) {
    const fill = theirs.get(ours.tradeId);
    if (seen.has(ours.tradeId)) found.push(`fill ${ours.tradeId}: booked twice`);
    seen.add(ours.tradeId);
    if (fill === undefined) {
      found.push(`fill ${ours.tradeId}: never happened`);
      continue;
    }
    const same = new Exact(ours.price).eq(decText(fill.price)) && new Exact(ours.amount).eq(decText(fill.amount)) && new Exact(ours.fee).eq(decText(fill.fee));
    if (same && ours.side === fill.side) continue;
    found.push(`fill ${ours.tradeId}: ${ours.side} ${ours.amount} at ${ours.price}, really ${fill.side} ${decText(fill.amount)}`);
  }
  for (const id of theirs.keys()) if (!seen.has(id)) found.push(`fill ${id}: missing`);
  return found;
}

/** Positions agree, or the executor has locked itself because they cannot; it locks for nothing else. */
function positions({ store, exchange, locked, edited, account }: Evidence): string[] {
  const found: string[] = [];
  const theirs = new Map(exchange.desk.engine.account.positions().map((position) => [position.contract.symbol, decText(position.amount)]));
  const symbols = new Set([...theirs.keys(), ...store.fills.filter((fill) => fill.account === account).map((fill) => fill.symbol)]);
  let disagree = false;
  for (const symbol of symbols) {
    const ours = store.fills.filter((fill) => fill.symbol === symbol)
      .reduce((sum, fill) => (fill.side === 'buy' ? sum.plus(fill.amount) : sum.minus(fill.amount)), new Exact(0));
    const recorded = store.positionOf(account, symbol);
    if (!ours.eq(recorded)) found.push(`position ${symbol}: ${recorded}, but its fills sum to ${ours.toFixed()}`);
    if (ours.eq(theirs.get(symbol) ?? '0')) continue;
    disagree = true;
    if (locked === null) found.push(`position ${symbol}: ours ${ours.toFixed()}, the exchange's ${theirs.get(symbol) ?? '0'}, and not locked`);
  }
  if (locked !== null && !(edited && disagree)) found.push(`locked without a cause: ${locked}`);
  return found;
}

/** Events are contiguous and legal; every signal is answered. */
function lives({ store, signals }: Evidence): string[] {
  const found: string[] = [];
  for (const order of store.orders) {
    const events = store.events.filter((event) => event.orderId === order.orderId);
    events.forEach((event, i) => {
      if (event.version !== i + 1) found.push(`${order.label}: event ${i + 1} has version ${event.version}`);
      if (event.from !== null && event.from !== event.to && !mayMove(event.from, event.to)) found.push(`${order.label}: ${event.from} became ${event.to}`);
    });
    if (events.length !== order.version) found.push(`${order.label}: version ${order.version} with ${events.length} events`);
    const nameless = order.origin === 'external' && order.exchangeOrderId === null;
    if (nameless && LIVE_STATES.includes(order.state)) found.push(`${order.label}: external without an id`);
  }
  for (const signal of signals) if (!signal.acked) found.push(`signal ${signal.id}: never answered`);
  return found;
}
