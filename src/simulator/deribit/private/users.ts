// The user channels: orders, trades, changes and portfolio of the account, raw or in batches.
import type { Channel, ChannelName } from '../channels.ts';
import type { Change } from './commands.ts';
import type { Contract } from './contract.ts';
import type { MatchingEngine } from './matching.ts';
import { fillWire, orderWire, positionWire, summaryWire, wire } from './wire.ts';

/** Says a change on every channel that is about it. */
export function tellChange(channels: Iterable<Channel>, change: Change, engine: MatchingEngine): void {
  const { contract } = change;
  const orders = change.orders.map((order) => wire(orderWire(order)));
  const fills = change.fills.map((fill) => wire(fillWire(fill)));
  for (const channel of channels) {
    const { parsed } = channel;
    if (parsed.type !== 'user' || !isAbout(parsed, contract)) continue;
    if (parsed.detail === 'orders') tell(channel, orders);
    else if (parsed.detail === 'trades' && fills.length > 0) tell(channel, fills);
    else if (parsed.detail === 'changes') channel.hold(changesText(change, orders, fills, engine), parsed.raw);
    else if (parsed.detail === 'portfolio' && change.moved) channel.hold(portfolioText(parsed.currency, contract, engine), true);
  }
}

/** Batches are lists; raw channels say one order at a time, as an object, but trades as a list. */
function tell(channel: Channel, objects: readonly string[]): void {
  if (!channel.parsed.raw) for (const object of objects) channel.add(object);
  else if (channel.parsed.detail === 'trades') channel.send(`[${objects.join(',')}]`);
  else for (const object of objects) channel.send(object);
}

function changesText({ contract, moved }: Change, orders: readonly string[], fills: readonly string[], engine: MatchingEngine): string {
  const position = moved && contract.kind !== 'spot' ? wire(positionWire(engine.account.position(contract), engine.markets)) : '';
  return `{"instrument_name":"${contract.symbol}","orders":[${orders.join(',')}],"trades":[${fills.join(',')}],"positions":[${position}]}`;
}

function portfolioText(currency: string, contract: Contract, engine: MatchingEngine): string {
  const told = currency.toUpperCase() === 'ANY' ? contract.currency : currency.toUpperCase();
  return wire(summaryWire(told, engine.summary(told), false));
}

function isAbout({ instrument, kind, currency }: ChannelName, contract: Contract): boolean {
  if (instrument !== null) return instrument === contract.symbol;
  const family = contract.kind === 'spot' ? [contract.base, contract.quote] : [contract.currency];
  const kindFits = kind === 'any' || kind === contract.wireKind;
  return kindFits && (currency.toLowerCase() === 'any' || family.includes(currency.toUpperCase()));
}
