// Wires the parts of the analyzer together and runs them until the process shall end.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { whenReady } from '../../bus/connect.ts';
import { StreamConsumer, type ConsumerOptions } from '../../bus/consumer.ts';
import { lookBack } from '../../bus/look_back.ts';
import { Analysis } from '../../core/analysis/analysis.ts';
import type { Rules } from '../../core/analysis/rules.ts';
import { Backoff } from '../../core/backoff.ts';
import { toError } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import { InstrumentNames } from './instruments.ts';
import { Intake } from './intake.ts';
import { analyzerMetrics, type AnalyzerMetrics } from './metrics.ts';
import { EntryReader } from './reader.ts';

export interface Connections {
  pool: Pool;
  /** Events and the fleet. */
  redis: Redis;
  streamRedis: Redis;
  consumer: Omit<ConsumerOptions, 'redis'>;
}

/** Without an answer of the database in this time the analysis begins without knowing what compares with what. */
const NAMES_MS = 5_000;
const WATCH_MS = 1_000;
const LOOK_BACK_ENTRIES = 2_000_000;
const FINISH_MS = 4_000;
const RETRY = { baseMs: 50, maxMs: 2_000 };
/** So many entries behind, our clock says nothing about what is silent. */
const CAUGHT_UP = 10;

/** Runs until ctx.signal aborts and what was in hand is settled. */
export async function analyze(ctx: ServiceContext, rules: Rules, { pool, redis, streamRedis, consumer: settings }: Connections): Promise<void> {
  const { log, health, clock, random, signal } = ctx;
  const names = new InstrumentNames();
  const analysis: Analysis = new Analysis({ rules, instrument: names.get, found: (finding) => intake.found(finding) });
  const reader = new EntryReader(analysis);
  const metrics = analyzerMetrics(ctx.metrics, analysis);
  const consumer = new StreamConsumer({ ...settings, redis: streamRedis });
  const intake = new Intake({ redis, consumer, reader, metrics, health, log, clock, random });

  await Promise.race([names.load(pool, log), sleep(NAMES_MS, undefined, { signal, ref: false })]);
  await rebuild(ctx, { redis: streamRedis, settings, reader, intake, metrics });
  health.set('redis', true);
  const beside = [names.run(pool, log, signal), watch(ctx, { consumer, analysis, intake, metrics })];
  await consumer.run(intake, signal);
  await intake.finish(FINISH_MS);
  await Promise.all(beside);
}

interface Rebuilding {
  redis: Redis;
  settings: Omit<ConsumerOptions, 'redis'>;
  reader: EntryReader;
  intake: Intake;
  metrics: AnalyzerMetrics;
}

/**
 * The state as it was when the group's position was reached: from what was settled without a word, from the rest as if it came now.
 * Begins anew whenever Redis fails. Rejects only when the process is to stop.
 */
async function rebuild(ctx: ServiceContext, parts: Rebuilding): Promise<void> {
  const { log, health, random, signal } = ctx;
  const backoff = new Backoff({ ...RETRY, random });
  health.set('stream', false, 'rebuilding the state');
  for (;;) {
    try {
      await whenReady(parts.redis, signal);
      await rebuildOnce(ctx, parts);
      return;
    } catch (error) {
      signal.throwIfAborted();
      const { message } = toError(error);
      log.warn({ reason: message }, 'the state could not be rebuilt, beginning anew');
      health.set('stream', false, `rebuilding the state: ${message}`);
      parts.reader.reset();
      parts.intake.forget();
      await sleep(backoff.next(), undefined, { signal });
    }
  }
}

async function rebuildOnce({ config, log, clock, signal }: ServiceContext, { redis, settings, reader, intake, metrics }: Rebuilding): Promise<void> {
  const { url, stream, group } = settings;
  const backMs = config.analyzer.lookBackMs;
  const startedMs = clock.monotonicMs();
  const done = await lookBack({ redis, url, stream, group, backMs, maxEntries: LOOK_BACK_ENTRIES, signal }, (entry, settled) => {
    intake.muted = settled;
    reader.read(entry);
  });
  intake.muted = false;
  intake.applied(done.position);
  intake.flush();
  metrics.rebuilt.inc(done.entries);
  log.info({ entries: done.entries, position: done.position, ms: Math.round(clock.monotonicMs() - startedMs) }, 'state rebuilt, analyzing');
}

interface Watched {
  consumer: StreamConsumer;
  analysis: Analysis;
  intake: Intake;
  metrics: AnalyzerMetrics;
}

/** How far behind we are; and when nothing comes any more, that time goes on all the same. */
async function watch({ clock, log, signal }: ServiceContext, { consumer, analysis, intake, metrics }: Watched): Promise<void> {
  const ended = (): boolean => signal.aborted;
  while (!ended()) {
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined);
    try {
      const before = analysis.now;
      const lag = await consumer.lag();
      metrics.lagEntries.set(lag.entries ?? 0);
      metrics.lagSeconds.set(lag.seconds);
      const isSilent = analysis.now === before && before > 0 && (lag.entries ?? 0) <= CAUGHT_UP && lag.pending <= CAUGHT_UP;
      if (isSilent) analysis.advance(clock.nowMicros());
      intake.flush();
    } catch (error) {
      if (!ended()) log.debug({ err: toError(error) }, 'lag is not known');
    }
  }
}
