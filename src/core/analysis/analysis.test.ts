// What the analysis keeps, and what it lets go.
import { describe, expect, it } from 'vitest';
import { Analysis } from './analysis.ts';
import type { Finding } from './finding.ts';
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

  it('takes no silence of an instrument that has expired for a stale feed, but one that began long before', () => {
    const told: string[] = [];
    const analysis = new Analysis({
      rules: DEFAULT_RULES, found: ({ rule, symbol }) => void told.push(`${rule} ${symbol ?? '-'}`),
      instrument: (_marketId, symbol) => ({ unifiedSymbol: null, kind: 'option', expiryTs: symbol === 'PERPETUAL' ? null : TS + HOUR }),
    });
    for (let s = 0; s < 7_200; s++) {
      if (s < 3_590) quote(analysis, 'deribit', 'OPTION', TS + s * 1e6);
      if (s < 1_000) quote(analysis, 'deribit', 'DEAD', TS + s * 1e6);
      if (s < 5_000) quote(analysis, 'deribit', 'PERPETUAL', TS + s * 1e6);
      quote(analysis, 'deribit', 'OTHER', TS + s * 1e6);
    }
    expect(told).toEqual(['stale_feed DEAD', 'stale_feed PERPETUAL']);
  });

  it('hears a market of which the only symbol is set aside', () => {
    const told: string[] = [];
    const rules = { ...DEFAULT_RULES, quarantine: { ...DEFAULT_RULES.quarantine, retry_s: 600 } };
    const analysis = new Analysis({ rules, found: ({ rule }) => void told.push(rule), instrument: () => undefined });
    for (let s = 0; s < 60; s++) quote(analysis, 'deribit', 'A', TS + s * 1e6);
    analysis.quarantine(analysis.track('deribit', 'A'), TS + 60e6, 'a test');
    for (let s = 60; s < 400; s++) quote(analysis, 'deribit', 'A', TS + s * 1e6);
    expect(told).toEqual(['quarantined']);
  });

  it('takes the first open interest of an instrument for no jump', () => {
    const told: unknown[] = [];
    const found = ({ rule, data }: Finding): void => {
      if (rule === 'open_interest_jump') told.push(data['before']);
    };
    const analysis = new Analysis({ rules: DEFAULT_RULES, found, instrument: () => undefined });
    const fields = new MessageFields();
    for (const [minutes, interest] of [[0, 0], [5, 0], [6, 3], [10, 3], [11, 4]] as const) {
      fields.clear();
      fields.kind = 'ticker';
      fields.exchangeTs = fields.receivedTs = TS + minutes * 60e6;
      fields.openInterest = interest;
      analysis.take(analysis.track('deribit', 'A'), fields);
    }
    expect(told).toEqual([3]);
  });
});
