// A combo trade prints twice: on the combo (with its legs) and once on every leg (tagged with the combo's id).
import type { Market } from '../market.ts';
import { tradeId, tradeObject } from './frames.ts';
import type { DeribitVenue } from './venue.ts';

/** Makes the leg trades of the combo trade `seq` and attaches them to it. */
export function printLegs(venue: DeribitVenue, combo: Market, seq: number): void {
  const { history: h, spec } = combo;
  const comboNames = venue.names.get(combo);
  if (comboNames === undefined) return;
  const id = tradeId(comboNames, seq);
  const legs: string[] = [];
  for (const { symbol, ratio } of spec.legs ?? []) {
    const leg = venue.markets.get(symbol);
    const names = leg === undefined ? undefined : venue.names.get(leg);
    if (leg === undefined || names === undefined || leg.history.size === 0) continue;
    const isSell = h.isSell(seq) !== ratio < 0;
    const ts = Math.max(h.ts(seq), leg.history.ts(leg.history.last));
    const legSeq = leg.record(ts, isSell ? leg.bid : leg.ask, h.lots(seq), isSell, 0);
    leg.addExtra(legSeq, `,"combo_id":"${spec.symbol}","combo_trade_id":"${id}"`);
    legs.push(tradeObject(leg, names, legSeq));
    venue.publish(leg, legSeq, legSeq);
  }
  combo.addExtra(seq, `,"legs":[${legs.join(',')}]`);
}
