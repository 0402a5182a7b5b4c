// executor: signals become orders, at most once each, and the books agree with the exchange. One of all executors leads; the others
// wait. Without credentials, or where address and mode do not agree, it observes: it answers every signal and sends nothing.
import { setFlagsFromString } from 'node:v8';
import { whenReady } from '../../bus/connect.ts';
import { joinFleet } from '../../bus/fleet.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { assertMigrated } from '../../store/migrate.ts';
import { assemble, describe } from './assemble.ts';
import { openKillSwitch } from './kill_wiring.ts';
import { leadOver } from './lead.ts';
import { observe, trade } from './life.ts';
import { openParts } from './parts.ts';
import { runnersOf } from './runners.ts';
import { accessOf, identify, riskLimitsOf, signalKeyOf } from './venue_access.ts';
import { showRole, watchAll, watchFlags } from './watches.ts';

/** Runs until ctx.signal aborts. */
export async function start(ctx: ServiceContext): Promise<void> {
  // An order that meets a collection waits for it. By several threads it waits for the slowest of them to get a core: beside a busy fleet
  // on two cores the p99 of signal → wire was two to four times its floor with them, and one to two times without.
  setFlagsFromString('--no-parallel-scavenge');
  const { log, health, signal } = ctx;
  const limits = riskLimitsOf(ctx);
  const signalKey = signalKeyOf(ctx);
  const runners = runnersOf(ctx.config.trading.strategiesFile);
  for (const part of ['database', 'redis', 'exchange']) health.set(part, false, 'starting');
  const seen = { offset: (): number => 0, account: null as string | null };
  const access = accessOf(ctx, () => seen.offset());
  const opened = openParts(ctx);
  // Before anything is waited for: it works with Redis and PostgreSQL down.
  const kill = openKillSwitch(ctx, opened, access.venue);
  const flags = watchFlags(ctx, opened, kill, () => seen.account);
  await assertMigrated(opened.pool, { log, signal, report: (why) => health.set('database', why === null, why ?? '') });
  await whenReady(opened.redis, signal);
  const { venue } = access;
  const identity = venue === null ? (access.reason ?? 'EXECUTOR_MODE is observe') : await identify(ctx, { ...access, venue }, opened.store);
  const parts = assemble(ctx, opened, { access, identity, limits, signalKey, runners, kill });
  seen.account = parts.account;
  if (parts.mode !== 'observe') seen.offset = () => parts.view.offsetMicros;
  parts.instance = await joinFleet(ctx, opened.redis, () => describe(parts));
  health.set('redis', true, '');
  health.set('exchange', true, parts.mode === 'observe' ? parts.reason : `${parts.mode} on account ${parts.account}`);
  await Promise.all([
    flags,
    showRole(parts),
    parts.mode === 'observe' ? null : watchAll(parts),
    leadOver(parts, (leadership) => (parts.mode === 'observe' ? observe(parts, leadership) : trade(parts, leadership))),
  ]);
}
