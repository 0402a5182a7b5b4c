// Which symbols a replay is about: those whose streams the simulator has on its tapes.
import { MARKETS } from '../../exchanges/registry.ts';
import type { SimulatorState } from './control.ts';

/** market → symbols with at least one recorded stream, markets without any left out. */
export function recordedSymbols({ replay, markets }: SimulatorState): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [marketId, { instruments }] of Object.entries(markets)) {
    const streams = replay.filter((tape) => tape.market_id === marketId).flatMap((tape) => tape.streams);
    // Stream names join symbol, kind and interval by dots and at-signs, in every venue's own order and case.
    const words = new Set(streams.flatMap((stream) => stream.toLowerCase().split(/[.@]/)));
    const symbols = instruments.map(({ symbol }) => symbol).filter((symbol) => words.has(symbol.toLowerCase()));
    if (symbols.length > 0) found.set(marketId, symbols);
  }
  return found;
}

/** The defaults of every market beside the recorded symbols: for a replay with generated markets around it. */
export function withDefaults(recorded: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  return new Map(Object.entries(MARKETS).map(([id, market]) => [id, [...new Set([...market.defaultSymbols, ...(recorded.get(id) ?? [])])]]));
}
