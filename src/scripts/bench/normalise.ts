// (a) raw frame → finished payload text, beside bare JSON.parse of the same frames and beside tardis-dev's
// parse + map + JSON.stringify.
import { createRequire } from 'node:module';
import { tickerPayload } from '../../exchanges/payload.ts';
import type { MessageSink } from '../../exchanges/exchange.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { systemClock } from '../../runtime/clock.ts';
import { MIN_FRAMES, type FrameSet } from './frames.ts';
import { paired, rate, ratio, type Candidate } from './measure.ts';

interface TardisMapper {
  canHandle(message: unknown): boolean;
  map(message: unknown, localTimestamp: Date): Iterable<unknown> | undefined;
}

type MakeTardisMapper = (exchange: string, localTimestamp: Date) => TardisMapper;

/** Plain functions of the module, not methods. */
interface TardisDev {
  readonly normalizeTrades: MakeTardisMapper;
  readonly normalizeBookTickers: MakeTardisMapper;
  readonly normalizeDerivativeTickers: MakeTardisMapper;
  readonly normalizeOptionsSummary: MakeTardisMapper;
}

/** How tardis-dev calls our markets. */
const TARDIS_NAMES: Record<string, string> = { deribit: 'deribit', binance_spot: 'binance', binance_usdm: 'binance-futures' };

export interface NormaliseRow {
  market: string;
  kind: string;
  frames: number;
  jsonParsePerSecond: number;
  oursPerSecond: number;
  timesJsonParse: number;
  tardisPerSecond: number | null;
  fasterThanTardis: number | null;
}

/** One row per market and kind; frames that tardis-dev has no mapping for (candles, aggregates) stand apart, without its figure. */
export function benchNormalise(sets: readonly FrameSet[], rounds: number): NormaliseRow[] {
  return sets.flatMap(byTardis).map(({ set, mappers }) => {
    const theirs = mappers === null ? [] : [tardisDev(set, mappers)];
    const [bare, ours, tardis] = paired([bareParse(set), own(set), ...theirs], rounds);
    return {
      market: set.marketId, kind: set.kind, frames: set.frames.length,
      jsonParsePerSecond: bare!.perSecond, oursPerSecond: ours!.perSecond, timesJsonParse: ours!.timesFirst,
      tardisPerSecond: tardis?.perSecond ?? null,
      fasterThanTardis: tardis === undefined ? null : tardis.timesFirst / ours!.timesFirst,
    };
  });
}

/** The frames that tardis-dev maps, and those that it does not. */
function byTardis(set: FrameSet): { set: FrameSet; mappers: TardisMapper[] | null }[] {
  const mappers = tardisMappers(set);
  const known = set.frames.filter((frame) => mappers.some((mapper) => mapper.canHandle(JSON.parse(frame))));
  const rest = set.frames.length === known.length ? [] : set.frames.filter((frame) => !known.includes(frame));
  return [
    { set: { ...set, frames: known }, mappers },
    { set: { ...set, frames: rest }, mappers: null },
  ].filter((part) => part.set.frames.length >= MIN_FRAMES);
}

export function normaliseTable(rows: readonly NormaliseRow[]): Record<string, string>[] {
  return rows.map((row) => ({
    market: row.market, kind: row.kind, frames: String(row.frames), 'JSON.parse/s': rate(row.jsonParsePerSecond),
    'ours/s': rate(row.oursPerSecond), '× JSON.parse (≤ 1.8)': ratio(row.timesJsonParse),
    'tardis-dev/s': row.tardisPerSecond === null ? '-' : rate(row.tardisPerSecond),
    '× tardis-dev (≥ 3)': row.fasterThanTardis === null ? '-' : ratio(row.fasterThanTardis),
  }));
}

function bareParse({ frames }: FrameSet): Candidate {
  let kept: unknown;
  return {
    name: 'JSON.parse',
    run() {
      for (const frame of frames) kept = JSON.parse(frame);
      return kept === undefined ? 0 : frames.length;
    },
  };
}

function own({ marketId, frames }: FrameSet): Candidate {
  const normaliser = MARKETS[marketId]!.normaliser();
  const clock = systemClock();
  let characters = 0;
  // Reading one character flattens a concatenated string: the text is really made.
  const take = (payload: string): void => void (characters += payload.charCodeAt(payload.length >> 1));
  const sink: MessageSink = {
    trade: (_symbol, _seq, _last, _ts, payload) => take(payload),
    ohlc: (_symbol, _resolution, _ts, _closed, payload) => take(payload),
    ticker: (patch) => take(tickerPayload(marketId, patch)),
  };
  return {
    name: 'ours',
    run() {
      for (const frame of frames) normaliser.normalise(frame, clock.nowMicros(), sink);
      return characters === 0 ? 0 : frames.length;
    },
  };
}

/** Trades; for tickers all three kinds it makes of them, as together they hold what one of ours does. It has no candles. */
function tardisMappers({ marketId, kind }: FrameSet): TardisMapper[] {
  if (kind === 'ohlc') return [];
  const tardis = createRequire(import.meta.url)('tardis-dev') as TardisDev;
  const makers = kind === 'trade' ? [tardis.normalizeTrades] : [tardis.normalizeBookTickers, tardis.normalizeDerivativeTickers, tardis.normalizeOptionsSummary];
  return makers.flatMap((make) => {
    try {
      return [make(TARDIS_NAMES[marketId]!, new Date())];
    } catch {
      return []; // not every exchange has all three
    }
  });
}

function tardisDev({ frames }: FrameSet, mappers: readonly TardisMapper[]): Candidate {
  let characters = 0;
  return {
    name: 'tardis-dev',
    run() {
      for (const frame of frames) {
        const message: unknown = JSON.parse(frame);
        const now = new Date();
        for (const mapper of mappers) {
          if (!mapper.canHandle(message)) continue;
          for (const normalised of mapper.map(message, now) ?? []) characters += JSON.stringify(normalised).length;
        }
      }
      return characters < 0 ? 0 : frames.length;
    },
  };
}
