// The seat of the leader: sought until it is free, left when its connection is in doubt, sought again.
import { toError } from '../../core/errors.ts';
import { Leadership } from '../../store/trading/leadership.ts';
import { pause } from './every.ts';
import type { Observing, Trading } from './parts.ts';

const SEEK_MS = 1_000;

/** Calls `live` for each time that this process leads, until it shall end. `live` ends when leadership does. */
export async function leadOver(parts: Trading | Observing, live: (leadership: Leadership) => Promise<void>): Promise<void> {
  const { ctx, current, events } = parts;
  const { signal, log, config } = ctx;
  while (!signal.aborted) {
    const leadership = await seek(parts);
    if (leadership === null) return;
    current.role = 'leader';
    current.epoch = leadership.epoch;
    log.info({ epoch: leadership.epoch, mode: parts.mode, account: parts.account }, 'leading');
    events.emit({
      type: 'executor.mode', severity: 'info', market_id: parts.marketId,
      data: {
        mode: parts.mode, wanted: config.trading.mode, account: parts.account, epoch: leadership.epoch,
        ...(parts.mode === 'observe' ? { reason: parts.reason } : {}),
      },
    });
    try {
      await live(leadership);
    } finally {
      current.role = 'standby';
      await leadership.release();
    }
  }
}

/** null: the process ends. */
async function seek({ ctx, current }: Trading | Observing): Promise<Leadership | null> {
  const { signal, log, config } = ctx;
  for (let said = ''; !signal.aborted;) {
    let why: string;
    try {
      const leadership = await Leadership.seek(config.databaseUrl, 'executor-leader');
      if (leadership !== null) return leadership;
      why = 'another executor leads: waiting as its standby';
    } catch (error) {
      why = `the database does not answer: ${toError(error).message}`;
    }
    current.role = 'standby';
    if (why !== said) log.info({ reason: why }, 'not leading');
    said = why;
    await pause(ctx, SEEK_MS);
  }
  return null;
}
