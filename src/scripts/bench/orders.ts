// The executor's three figures: (i) from a signal to its order on the wire, (ii) until its books agree with the exchange's after a start,
// (iii) until none of a hundred orders that were on their way when it was killed is in doubt. Each has its file.
import { benchLatency, type LatencyResult } from './orders_latency.ts';
import { benchRecovery, type RecoveryResult } from './orders_recovery.ts';
import { benchStart, type StartFigures, type StartResult } from './orders_start.ts';

export interface OrdersResult {
  latency: LatencyResult;
  start: StartResult;
  recovery: RecoveryResult;
}

/** Signals at 50 per second (or `asked`) for `seconds`; then the starts. */
export async function benchOrders(asked: number | undefined, seconds: number): Promise<OrdersResult> {
  return { latency: await benchLatency(asked, seconds), start: await benchStart(), recovery: await benchRecovery() };
}

type Row = Record<'what' | 'measured' | 'limit' | 'of the same run', string>;

/** One table: columns are the same for all three. */
export const ordersTable = ({ latency: l, start: s, recovery: r }: OrdersResult): Row[] => [
  row(`signal → wire at ${l.perSecond}/s, p50 ms`, l.wire.p50.toFixed(2), '≤ 3', `floor ${l.floor.p50.toFixed(2)} (two commits and a request)`),
  row('its p99 ms', l.wire.p99.toFixed(2), '≤ 10',
    `floor ${l.floor.p99.toFixed(2)}: ${(l.wire.p99 / l.floor.p99).toFixed(1)} times it; one commit ${pair(l.bareCommit)}`),
  row('until the intent, p50 and p99 ms', pair(l.gate), '',
    `from it to the wire ${pair(l.commit)}`),
  row('not sent', String(l.missing), '0', `executor ${(l.executorCpu * 100).toFixed(0)} % of a core`),
  row('reconciled, all fills missing, s', s.healed.reconciled.toFixed(1), '≤ 10', `${whole(s)}; ${costs(s.healed)}`),
  row('healed', `${s.healed.recorded} of ${s.fills}`, 'all', s.healed.agrees ? 'position equal' : 'POSITION DIFFERS'),
  row('reconciled, all fills known, s', s.known.reconciled.toFixed(1), '≤ 10', costs(s.known)),
  row(`${r.inFlight} in flight at kill -9: resolved after s`, r.resolved === null ? 'never' : r.resolved.toFixed(1), '≤ 30',
    `${r.arrived} had arrived; ${Object.entries(r.states).map(([state, n]) => `${n} ${state}`).join(', ')}`),
  row('sent again', String(r.sentAgain), '0', `${r.differing} differ from the exchange's`),
];

const row = (what: string, measured: string, limit: string, beside: string): Row => ({ what, measured, limit, 'of the same run': beside });
const whole = (s: StartResult): string => `${s.openOrders} open orders, ${s.fills} fills of ${s.filledOrders} more`;
const pair = ({ p50, p99 }: { p50: number; p99: number }): string => `${p50.toFixed(2)}, ${p99.toFixed(2)}`;
const costs = ({ ready, pages, cpu }: StartFigures): string => {
  const spent = `executor ${cpu.executor.toFixed(1)}, PostgreSQL ${cpu.postgres.toFixed(1)}, simulator ${cpu.simulator.toFixed(1)}`;
  return `${ready.toFixed(1)} s from the process's start; ${pages} pages; CPU s: ${spent}`;
};
