// The venues of this simulator: one line each. A further venue is one folder and one line here.
import { spotSpecs, usdmSpecs } from './binance/catalogue.ts';
import * as binanceTape from './binance/recording.ts';
import { BinanceVenue, SPOT_FLAVOUR, USDM_FLAVOUR } from './binance/venue.ts';
import { deribitSpecs } from './deribit/catalogue.ts';
import * as deribitTape from './deribit/recording.ts';
import { DeribitVenue } from './deribit/venue.ts';
import type { Tape } from './player.ts';
import type { Recording, StreamFrame } from './recording.ts';
import type { Spec } from './spec.ts';
import type { Venue, World } from './world.ts';

interface Entry {
  marketId: string;
  create(world: World, specs: readonly Spec[], keep: number): Venue;
  specs(nowMs: number): Spec[];
  claims(recording: Recording): boolean;
  frames(recording: Recording): StreamFrame[];
  /** `known`: the generated instruments, for recordings that hold no list. */
  recordedSpecs(recordings: readonly Recording[], frames: readonly StreamFrame[], known: readonly Spec[]): Spec[];
}

const spotOrUsdm = (marketId: 'binance_spot' | 'binance_usdm'): Pick<Entry, 'claims' | 'frames' | 'recordedSpecs'> => ({
  claims: (recording) => (recording.marketId ?? binanceTape.marketOfUrl(recording.url)) === marketId,
  frames: binanceTape.framesOf,
  recordedSpecs: (recordings, frames) => binanceTape.specsOf(marketId, recordings, frames),
});

const ENTRIES: readonly Entry[] = [
  {
    marketId: 'deribit', create: (world, specs, keep) => new DeribitVenue(world, specs, keep), specs: deribitSpecs,
    claims: ({ marketId, url }) => (marketId === null ? deribitTape.isDeribit(url) : marketId === 'deribit'),
    frames: deribitTape.framesOf, recordedSpecs: deribitTape.specsOf,
  },
  {
    marketId: SPOT_FLAVOUR.marketId, create: (world, specs, keep) => new BinanceVenue(world, SPOT_FLAVOUR, specs, keep), specs: spotSpecs,
    ...spotOrUsdm('binance_spot'),
  },
  {
    marketId: USDM_FLAVOUR.marketId, create: (world, specs, keep) => new BinanceVenue(world, USDM_FLAVOUR, specs, keep), specs: usdmSpecs,
    ...spotOrUsdm('binance_usdm'),
  },
];

/** All venues, with the instruments of their recordings beside (or instead of) the generated ones, and the tapes to play. */
export function createVenues(world: World, recordings: readonly Recording[], keep: number): { venues: Map<string, Venue>; tapes: Tape[] } {
  const venues = new Map<string, Venue>();
  const tapes: Tape[] = [];
  for (const entry of ENTRIES) {
    const mine = recordings.filter((recording) => entry.claims(recording));
    const reels = mine.map((recording) => ({ name: recording.file, frames: entry.frames(recording) }));
    const generated = entry.specs(world.nowMs());
    const recorded = entry.recordedSpecs(mine, reels.flatMap((reel) => reel.frames), generated);
    const names = new Set(recorded.map((spec) => spec.symbol));
    const specs = [...generated.filter((spec) => !names.has(spec.symbol)), ...recorded];
    const venue = entry.create(world, specs, keep);
    venues.set(entry.marketId, venue);
    tapes.push(...reels.map((reel) => ({ ...reel, venue })));
  }
  return { venues, tapes };
}
