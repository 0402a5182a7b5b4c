// What can be looked at side by side on the market page.
import type { Instruments } from '../shown.ts';

export type Instrument = Instruments['instruments'][number];

/** Markets beside each other: more are neither readable nor cheap. */
export const MOST = 4;

export const keyOf = ({ marketId, symbol }: Instrument): string => `${marketId}:${symbol}`;

/**
 * Keys and name of each choice: everything of one base side by side, each unified symbol with all its markets, then single instruments.
 * Where there is no room for all, every exchange's first comes before anybody's second, and the name says how many there are.
 */
export function picksOf(instruments: readonly Instrument[]): (readonly [string, string])[] {
  const bases = Map.groupBy(instruments.filter(({ base, kind }) => base !== null && (kind === 'spot' || kind === 'perpetual')), ({ base }) => base!);
  const names = Map.groupBy(instruments, ({ unifiedSymbol, symbol, marketId }) => unifiedSymbol ?? `${symbol} (${marketId})`);
  const groups = [
    ...[...bases].map(([base, all]) => [`${base}: ${all.length > MOST ? `${MOST} of its ${all.length}` : 'all its'} markets`, all] as const), ...names,
  ];
  // Of two names for the same the later one, which is the more exact, in the place of the first.
  return [...new Map(groups.map(([name, all]) => [inTurn(all).slice(0, MOST).map(keyOf).join(','), name] as const))];
}

function inTurn(instruments: readonly Instrument[]): Instrument[] {
  const seen = new Map<string, number>();
  return instruments.map((instrument) => {
    const turn = seen.get(instrument.marketId) ?? 0;
    seen.set(instrument.marketId, turn + 1);
    return { instrument, turn };
  }).sort((a, b) => a.turn - b.turn).map(({ instrument }) => instrument);
}
