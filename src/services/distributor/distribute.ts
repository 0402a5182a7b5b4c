// Wires the parts of the distributor together and runs them until the process shall end.
import type { Redis } from 'ioredis';
import type { StreamConsumer } from '../../bus/consumer.ts';
import { EventSink } from '../../bus/events.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import { InstrumentIds } from './instruments.ts';
import { Keeper } from './keeper.ts';
import { distributorMetrics } from './metrics.ts';
import { Pump } from './pump.ts';
import { TickerSampler } from './sampler.ts';
import { BatchWriter } from './writer.ts';

export interface Connections {
  pool: Pool;
  /** Events and the fleet. */
  redis: Redis;
  /** The market-data stream and its dead letters. */
  streamRedis: Redis;
  consumer: StreamConsumer;
  instance: string;
}

/** As long as the database has for an answer (store/connect.ts). */
const FINISH_MS = 4_000;
const EVENTS_MS = 1_000;

/** Runs until ctx.signal aborts and what was in hand is settled. */
export async function distribute(ctx: ServiceContext, { pool, redis, streamRedis, consumer, instance }: Connections): Promise<void> {
  const { config, log, health, clock, random, signal } = ctx;
  const metrics = distributorMetrics(ctx.metrics);
  const nowMicros = (): number => clock.nowMicros();
  const source = consumer.source;
  const events = new EventSink(redis, { source: `${source.consumer}-${nowMicros()}`, nowMicros, random, log });
  const keeper = new Keeper({ pool, redis: streamRedis, consumer, stream: source.stream, metrics, health, log, clock });
  const instruments = new InstrumentIds({
    exchangeOf: (marketId) => marketOf(marketId)?.exchange ?? null,
    onStub: ({ marketId, symbol }, instrumentId) => {
      metrics.stubs.inc();
      log.warn({ market_id: marketId, symbol, instrument_id: instrumentId }, 'unknown instrument, stored under a stub row');
      const data = { instrument_id: instrumentId, known_market: marketOf(marketId) !== undefined, reason: 'met in the data' };
      events.emit({ type: 'instrument.unknown', severity: 'warning', market_id: marketId, symbol, data });
    },
  });
  const context = { instruments, sampler: new TickerSampler(config.tickerSampleMs), nowMicros };
  const writer: BatchWriter = new BatchWriter({
    pool, context, metrics, log, random,
    partitionDays: () => keeper.tradeDays,
    refreshPartitions: () => keeper.refresh(),
    onOutage: (reason) => pump.outage(reason),
  });
  const pump = new Pump({
    redis: streamRedis, consumer, source, writer, context, events, metrics, health, log, clock, random, maxRows: config.batchMaxRows,
  });

  await keeper.makePartitions().catch((error: unknown) => log.warn({ err: error }, 'partitions are made later'));
  await instruments.load(pool).catch((error: unknown) => log.warn({ err: error }, 'instruments are looked up one by one'));
  log.info({ instance, stream: source.stream }, 'distributing');
  const beside = keeper.run(signal);
  const running = pump.run();
  running.catch((error: unknown) => ctx.fail(error));
  await consumer.run(pump, signal);
  await pump.finish(FINISH_MS, running);
  await Promise.all([beside, events.close(EVENTS_MS)]);
}
