// What the analysis keeps, and what it lets go.
import { describe, expect, it } from 'vitest';
import { Analysis } from './analysis.ts';
import { MessageFields } from './message_fields.ts';
import { DEFAULT_RULES } from './rules.ts';

const TS = 1_790_000_000_000_000;
const HOUR = 3_600_000_000;

function quote(analysis: Analysis, marketId: string, symbol: string, at: number): void {
  const fields = new MessageFields();
  fields.clear();
  fields.kind = 'ticker';
  fields.exchangeTs = fields.receivedTs = at;
  [fields.bid, fields.ask] = [100, 101];
  analysis.take(analysis.track(marketId, symbol), fields);
}

const comparing = (): Analysis => new Analysis({
  rules: DEFAULT_RULES, found: () => undefined,
  instrument: (_marketId, symbol) => ({ unifiedSymbol: symbol.replace('-', '/'), kind: 'spot' }),
});

describe('the analysis', () => {
  it('forgets with the last market of a unified symbol what it compared there', () => {
    const analysis = comparing();
    for (let day = 0; day < 10; day++) {
      for (const market of ['binance_spot', 'deribit']) quote(analysis, market, `OPTION-${day}`, TS + day * 24 * HOUR);
    }
    expect([analysis.symbols, analysis.compared]).toEqual([2, 1]);
  });

  it('knows nothing any more after a reset, and takes up who comes again', () => {
    const analysis = comparing();
    const before = analysis.track('deribit', 'A-B');
    quote(analysis, 'deribit', 'A-B', TS);
    analysis.reset();
    expect([analysis.symbols, analysis.compared, analysis.now, before.gone]).toEqual([0, 0, 0, true]);
    quote(analysis, 'deribit', 'A-B', TS - HOUR);
    expect([analysis.symbols, analysis.compared, analysis.now]).toEqual([1, 1, TS - HOUR]);
  });
});
