// One backtest from rows to report; where the rows come from is the caller's business.
import { StrategyRunner } from '../../services/executor/strategies/runner.ts';
import { instrumentOf } from '../../services/executor/strategies/strategy.ts';
import type { CandleChunk, TickerChunk, TradeChunk } from '../../store/replay.ts';
import { EquityCurve } from './equity.ts';
import { CandleLane, TickerLane, TradeLane } from './lanes.ts';
import type { BacktestOptions, DataKind } from './options.ts';
import { Replay, type Lane } from './replay.ts';
import { reportOf, type Report } from './report.ts';
import { Session } from './session.ts';
import type { Setup } from './setup.ts';
import type { FillRecord } from '../../core/trading/records.ts';

/** Readers of stored rows, each in order of time. */
export interface Sources {
  candles: () => AsyncIterator<CandleChunk, void, undefined>;
  trades: () => AsyncIterator<TradeChunk, void, undefined>;
  tickers: () => AsyncIterator<TickerChunk, void, undefined>;
}

/** Equal options and rows give an equal report, wherever and whenever. Rejects when a reader does, or with the signal's reason. */
export async function backtest(
  options: BacktestOptions, setup: Setup, sources: Sources, signal: AbortSignal,
): Promise<{ report: Report; fills: readonly FillRecord[] }> {
  const { entry, data, from, until } = options;
  const width = entry.widthMicros;
  const { terms, contract, limits, deposit } = setup;
  const session = await Session.open({ strategy: entry.name, terms, contract, limits, deposit, slippageTicks: options.slippageTicks, startTs: from });
  try {
    const curve = new EquityCurve({ from, until, deposit: Number(deposit), reciprocal: terms.reciprocal });
    const replay = new Replay(session, curve, new StrategyRunner(entry, instrumentOf(terms)));
    const make: Record<DataKind, () => Lane> = {
      candles: () => new CandleLane(replay, sources.candles(), { width, inBase: terms.reciprocal }),
      trades: () => new TradeLane(replay, sources.trades(), { width }),
      tickers: () => new TickerLane(replay, sources.tickers()),
    };
    const lanes = data.map((kind) => make[kind]());
    await replay.run(lanes, signal);
    const rows = Object.fromEntries(data.map((kind, i) => [kind, lanes[i]!.rows]));
    return { report: await reportOf(options, setup, replay, rows), fills: session.fills };
  } finally {
    await session.close();
  }
}
