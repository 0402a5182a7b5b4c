// What must be right before an operator unlocks an exchange: the data, not the wish.
import type { Redis } from 'ioredis';
import { fieldsOf, millisecondsOf } from '../../bus/stream_id.ts';
import { dlqStreamMarketDataKey, streamMarketDataKey } from '../../contracts/index.ts';
import type { Pool } from '../../store/connect.ts';
import { countGapsOf, type GapCounts } from '../../store/gaps.ts';
import { countTradable } from '../../store/instruments.ts';
import { migrationStatus } from '../../store/migrate.ts';
import { age, fail, ok, warn, type Finding } from '../doctor/finding.ts';

export interface CheckParts {
  pool: Pool;
  stream: Redis;
  exchange: string;
}

const GROUP = 'distributor';
/** A gap that nobody could close for so long is no gap that is just being healed. */
const GAP_PATIENCE_MINUTES = 10;
const MAX_LAG_MS = 60_000;

/** All checks, in the order in which they are worth reading. Rejects when a server does not answer. */
export async function unlockChecks({ pool, stream, exchange }: CheckParts): Promise<Finding[]> {
  const { pending, unknown } = await migrationStatus(pool);
  const found = [
    pending.length + unknown.length === 0
      ? ok('schema', 'at head')
      : fail('schema', `pending ${pending.join(', ') || 'none'}; unknown ${unknown.join(', ') || 'none'}`, 'npm run migrate -- up'),
  ];
  const tradable = await countTradable(pool, exchange);
  found.push(tradable > 0
    ? ok('instruments', `${tradable} tradable`)
    : fail('instruments', 'none is tradable', 'run the janitor: npm start -- janitor'));
  found.push(gapFinding(await countGapsOf(pool, exchange, GAP_PATIENCE_MINUTES)));
  found.push(await lagFinding(stream));
  const letters = await stream.xlen(dlqStreamMarketDataKey);
  found.push(letters === 0 ? ok('dead letters', 'none') : warn('dead letters', String(letters), 'look at them: npm run dlq -- list'));
  return found;
}

function gapFinding({ old, young, unfillable }: GapCounts): Finding {
  const detail = `${young} being healed, ${old} open for more than ${GAP_PATIENCE_MINUTES} minutes, ${unfillable} unfillable`;
  if (old > 0) return fail('gaps', detail, 'are governor and backfill running? npm run completeness tells what is missing and why');
  return unfillable > 0 ? warn('gaps', detail, 'npm run completeness tells what is missing and why') : ok('gaps', detail);
}

async function lagFinding(stream: Redis): Promise<Finding> {
  if ((await stream.exists(streamMarketDataKey)) === 0) return warn('stream', 'empty: no receiver has written yet', 'start a receiver');
  const answers = await Promise.all([stream.xinfo('STREAM', streamMarketDataKey), stream.xinfo('GROUPS', streamMarketDataKey)]);
  const [info, groups] = answers as [unknown[], unknown[][]];
  const group = groups.map(fieldsOf).find((fields) => fields['name'] === GROUP);
  if (group === undefined) return fail('stream', 'no distributor has ever read it', 'start a distributor');
  const lagMs = millisecondsOf(fieldsOf(info)['last-generated-id']) - millisecondsOf(group['last-delivered-id']);
  return lagMs > MAX_LAG_MS
    ? fail('stream', `the distributor is ${age(lagMs)} behind`, 'wait until it has caught up, or start another one')
    : ok('stream', `the distributor is ${age(Math.max(0, lagMs))} behind`);
}
