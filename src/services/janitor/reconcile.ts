// Moves states by the data checks (checks.ts). What leads where:
//   RECONCILING  checks pass, UNLOCK_POLICY=auto     HEALTHY
//   RECONCILING  checks pass, UNLOCK_POLICY=manual   LOCKED: an operator looks first
//   RECONCILING  checks pass, memory ladder          HEALTHY: it was before Redis filled up, whatever the policy
//   RECONCILING  of a bootstrap over a lock          LOCKED: that lock is not ours to take off
//   HEALTHY      checks fail for longer than a grace RECONCILING
//   AUDITING     nobody audits                       RECONCILING: the audit was interrupted, and its question is lost
// A LOCKED exchange is an operator's, BOOTSTRAPPING a bootstrap's.
import type { Redis } from 'ioredis';
import { MEMORY_LADDER } from '../../bus/memory.ts';
import { peekState } from '../../bus/state.ts';
import type { SystemState } from '../../contracts/index.ts';
import { failures } from '../../core/finding.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { settleFindings } from '../../store/audits.ts';
import { dataChecks } from './checks.ts';
import { moveState, type Move } from './move.ts';
import { BY_KEEPING_LOCK } from './states.ts';

export interface ReconcilerOptions {
  redis: Redis;
  /** Redis of stream:market_data. */
  stream: Redis;
  pool: Pool;
  markets: readonly { marketId: string; exchange: string }[];
  exchanges: readonly string[];
  policy: 'auto' | 'manual';
  /** Checks may fail for so long before a HEALTHY exchange is none any more: a reconnect is no loss. */
  graceMs: number;
  /** Whether an audit of the exchange is asked for or in hand. */
  auditing: (exchange: string) => Promise<boolean>;
  clock: Pick<Clock, 'nowMicros' | 'monotonicMs'>;
  log: Pick<Logger, 'info' | 'warn'>;
}

type Seen = Move['seen'];

const BY = 'governor';

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Since when the checks of a HEALTHY exchange fail, monotonic ms. */
  readonly #failingSince = new Map<string, number>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Looks at every exchange once. Rejects when Redis or the database do not answer. */
  async look(): Promise<void> {
    const { redis, pool, exchanges } = this.#options;
    await settleFindings(pool);
    for (const exchange of exchanges) {
      const seen = await peekState(redis, exchange);
      if (seen.state !== 'HEALTHY') this.#failingSince.delete(exchange);
      // Written by hand: the watch decides first.
      if (seen.state !== seen.meta['state']) continue;
      if (seen.state === 'RECONCILING') await this.#reconciled(exchange, seen);
      else if (seen.state === 'HEALTHY') await this.#stillHealthy(exchange, seen);
      else if (seen.state === 'AUDITING' && !(await this.#options.auditing(exchange)))
        await this.#move(exchange, seen, 'AUDITING', 'RECONCILING', 'the audit was interrupted');
    }
  }

  async #reconciled(exchange: string, seen: Seen): Promise<void> {
    if (seen.meta['by'] === BY_KEEPING_LOCK) return this.#move(exchange, seen, 'RECONCILING', 'LOCKED', `lock kept: ${seen.meta['reason'] ?? ''}`);
    if ((await this.#check(exchange)) !== '') return;
    if (this.#options.policy === 'auto' || seen.meta['by'] === MEMORY_LADDER) await this.#move(exchange, seen, 'RECONCILING', 'HEALTHY', 'data checks passed');
    else await this.#move(exchange, seen, 'RECONCILING', 'LOCKED', 'data checks passed; UNLOCK_POLICY=manual: waiting for npm run system-unlock');
  }

  async #stillHealthy(exchange: string, seen: Seen): Promise<void> {
    const bad = await this.#check(exchange);
    const now = this.#options.clock.monotonicMs();
    if (bad === '') {
      this.#failingSince.delete(exchange);
      return;
    }
    const since = this.#failingSince.get(exchange) ?? now;
    this.#failingSince.set(exchange, since);
    if (now - since >= this.#options.graceMs) await this.#move(exchange, seen, 'HEALTHY', 'RECONCILING', bad);
  }

  async #check(exchange: string): Promise<string> {
    const { pool, redis, stream, markets, clock } = this.#options;
    const marketIds = markets.filter((market) => market.exchange === exchange).map(({ marketId }) => marketId);
    return failures(await dataChecks({ pool, redis, stream, exchange, marketIds, nowMicros: clock.nowMicros() }));
  }

  async #move(exchange: string, seen: Seen, expected: SystemState, to: SystemState, reason: string): Promise<void> {
    const outcome = await moveState(this.#options, { exchange, seen, expected, to, by: BY, reason });
    if (outcome.ok) this.#options.log.warn({ exchange, from: expected, to, reason }, 'state changed');
  }
}
