// `npm start -- simulator`: the exchange simulator in the foreground.
import { untilStopped, type ServiceContext } from '../runtime/service.ts';
import { startSimulator } from './server.ts';

/** Runs until the process is told to stop. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { port, host, seed, ledger, replay, speed, rate, faults } = ctx.config.simulator;
  const simulator = await startSimulator({
    port, host, seed, ledgerPath: ledger, replayDir: replay, speed, rate, faults, clock: ctx.clock, log: ctx.log,
    onFail: (error) => ctx.fail(error),
  });
  ctx.scope.own(simulator, (running) => running.close());
  ctx.health.set('simulator', true, simulator.url);
  await untilStopped(ctx.signal);
}
