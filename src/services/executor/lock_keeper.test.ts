import { expect, it } from 'vitest';
import type { CaseRecord, TradingStore } from '../../core/trading/records.ts';
import { LockKeeper } from './lock_keeper.ts';

const entry = (caseId: string, kind: CaseRecord['kind'], status: CaseRecord['status']): CaseRecord => ({
  caseId, kind, status, account: 'acc', marketId: 'deribit', symbol: 'BTC-PERPETUAL', ours: null, theirs: null, evidence: [], decision: null, attempts: 1,
  openedTs: 0, updatedTs: 0, closedTs: null,
});

it('stays locked for what came while it was locked for something else, until the operator has closed that, too', async () => {
  const mismatch = entry('1', 'position_mismatch', 'locked');
  const overfill = entry('2', 'overfill', 'open');
  // What the operator leaves open, round by round.
  const rounds = [[mismatch], [mismatch, overfill], [overfill], [overfill], []];
  const left: number[] = [];
  let round = -1;
  const store: Pick<TradingStore, 'openCases'> = { openCases: () => Promise.resolve(rounds[round]!) };
  const keeper = new LockKeeper({
    store: store as TradingStore, clock: { nowMicros: () => 0, monotonicMs: () => 0 }, log: { warn: () => undefined, error: () => undefined }, account: 'acc',
    marketId: 'deribit', pause: () => (++round < rounds.length ? Promise.resolve() : Promise.reject(new Error('the end'))),
    lockSystem: () => Promise.resolve(), told: () => undefined,
  });
  keeper.locked('a position differs');
  await keeper.run({ unlock: () => void left.push(round) });
  expect(left).toEqual([4]);
});

it('opens no case for what it found on record, though the operator closes it at once', async () => {
  const rounds = [[entry('1', 'position_mismatch', 'locked')], []];
  const unlocked: number[] = [];
  let [round, warned] = [0, 0];
  const keeper = new LockKeeper({
    // Any other call would write.
    store: { openCases: () => Promise.resolve(rounds[round] ?? []) } as unknown as TradingStore, clock: { nowMicros: () => 0, monotonicMs: () => 0 },
    log: { warn: () => warned++, error: () => undefined }, account: 'acc', marketId: 'deribit',
    pause: () => (++round < 3 ? Promise.resolve() : Promise.reject(new Error('the end'))),
    lockSystem: () => Promise.reject(new Error('it is the operator\'s')), told: () => undefined,
  });
  const found = await keeper.found();
  keeper.locked(found!);
  await keeper.run({ unlock: () => void unlocked.push(round) });
  expect([unlocked, warned]).toEqual([[1], 0]);
});
