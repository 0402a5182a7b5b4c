// The kill switch in this process: SIGUSR2, the file, the metrics' and the events' word of it.
import type { TradingVenue } from '../../exchanges/trading.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { KillSwitch } from './kill_switch.ts';
import type { Opened } from './parts.ts';

/** Opens it and sets it going. */
export function openKillSwitch(ctx: ServiceContext, { events, metrics, pauseUntil, tell }: Opened, venue: TradingVenue | null): KillSwitch {
  const kill = new KillSwitch({
    file: ctx.config.trading.killFile, clock: ctx.clock, log: ctx.log, venue, pause: pauseUntil(ctx.signal),
    told: (on, detail) => {
      metrics.killed.set(on ? 1 : 0);
      events.emit({ type: 'kill.switch', severity: on ? 'critical' : 'warning', data: { on, detail } });
      tell('', { kind: 'executor', code: on ? 'KILL_SWITCH' : 'KILL_SWITCH_OFF', reason: detail, data: {} });
    },
  });
  const onSignal = (): void => kill.pull('SIGUSR2');
  process.on('SIGUSR2', onSignal);
  ctx.scope.own(onSignal, (listener) => void process.off('SIGUSR2', listener));
  void kill.run();
  return kill;
}
