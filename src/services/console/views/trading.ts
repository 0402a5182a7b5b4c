// Orders, fills, books, and what stops them.
import { z } from 'zod';
import { allHeartbeats, type Beat } from '../../../bus/glance.ts';
import {
  allFlags, allPositions, countLiveOrders, fillsMark, newestCases, newestFills, newestOrders, newestRefusals, profitCurve,
} from '../../../store/trading/glance.ts';
import { view, type View } from '../hub.ts';
import type { Trading } from '../shown.ts';
import { from, type Sources } from './sources.ts';

const ROWS = 50;
const POINTS = 1_000;

export function tradingView({ pool, redis, clock }: Sources): View {
  let curve: { mark: string; points: Trading['profit'] } | null = null;
  const read = async (): Promise<Trading> => {
    const [beats, stored] = await Promise.all([
      from('Redis', allHeartbeats(redis)),
      from('PostgreSQL', Promise.all([
        allFlags(pool), newestOrders(pool, ROWS), newestFills(pool, ROWS), allPositions(pool), newestCases(pool, ROWS), newestRefusals(pool, ROWS),
        countLiveOrders(pool), fillsMark(pool),
      ])),
    ]);
    const [flags, orders, fills, positions, cases, refusals, atWork, mark] = stored;
    // Every fill there is makes the curve: worked out again when there is another one.
    if (curve?.mark !== mark) curve = { mark, points: await from('PostgreSQL', profitCurve(pool, POINTS)) };
    const guards = beats.filter(({ service }) => service === 'guard');
    return {
      nowTs: clock.nowMicros(), flags, orders, atWork, fills, positions, cases, refusals, profit: curve.points,
      executors: beats.filter(({ service }) => service === 'executor').map(executorOf),
      guardArmed: guards.length === 0 ? null : guards.some(({ says }) => says['armed'] === true),
    };
  };
  return view({ params: z.strictObject({}), everyMs: 2_000, read });
}

function executorOf({ instance, says }: Beat): Trading['executors'][number] {
  const word = (name: string): string => (typeof says[name] === 'string' ? says[name] : '');
  return {
    instance, account: word('account'), mode: word('mode'), role: word('role'), killSwitch: word('kill_switch') || null, locked: word('locked') || null,
  };
}
