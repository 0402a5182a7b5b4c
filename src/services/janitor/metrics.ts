// What the governor tells about the fleet as a whole (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

export function governorMetrics(metrics: Metrics) {
  return {
    gaps: metrics.gauge('governor_gaps', 'Gaps that are not closed, by status (open, healing, unfillable)', ['market', 'status']),
    oldestGap: metrics.gauge('governor_oldest_gap_seconds', 'Age of the oldest gap that is open or being healed; 0: there is none', ['market']),
    clockOffset: metrics.gauge('governor_clock_offset_seconds', 'Our clock minus the exchange\'s', ['market']),
    ban: metrics.gauge('governor_ban_seconds', 'How long the exchange wants to be asked nothing any more; 0: it does not', ['exchange']),
    state: metrics.gauge('governor_state', '1 for the state that the exchange is in, 0 for the others', ['exchange', 'state']),
  };
}

export type GovernorMetrics = ReturnType<typeof governorMetrics>;
