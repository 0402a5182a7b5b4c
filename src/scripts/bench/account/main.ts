// `simulator` with an account that has traded: FILLS fills of the last minutes, and OPEN_ORDERS orders that rest. Rate limits as the
// exchange has them; otherwise as `npm start` runs it.
import { UsageError } from '../../../core/errors.ts';
import { mintLabel } from '../../../core/trading/label.ts';
import { MARKETS } from '../../../exchanges/registry.ts';
import { loadConfig } from '../../../runtime/env.ts';
import { runService, untilStopped, type ServiceContext } from '../../../runtime/service.ts';
import { startSimulator, type Simulator } from '../../../simulator/server.ts';
import { FILLS, MARKET, OPEN_ORDERS, SPAN_MS, SYMBOL } from '../orders_stage.ts';

/** Ten dollars' worth at a time rests; what takes takes from several levels of the book. */
const RESTING = 10;
const TAKING = 2_000_000;
/** The market moves on between two of our orders: what they took is there again. */
const STEP_MS = 20;

async function simulator({ config, clock, log, scope, health, signal, random }: ServiceContext): Promise<void> {
  const { port, host, seed, rate } = config.simulator;
  const running = scope.own(await startSimulator({ port, host, seed, rate, clock, log }), (r) => r.close());
  trade(running, () => mintLabel('paper', 'bench', clock.nowMicros() / 1000, random));
  health.set('simulator', true, '');
  await untilStopped(signal);
}

function trade(running: Simulator, label: () => string): void {
  let price = 0;
  // Fees and spreads of it all.
  running.operate({ market_id: MARKET, action: 'deposit', currency: 'BTC', amount: 1_000_000 });
  for (let fills = 0, n = 0; fills < FILLS; n++) {
    running.setClock(-SPAN_MS * (1 - fills / FILLS));
    running.step(STEP_MS);
    const { trades } = place(running, { side: n % 2 === 0 ? 'buy' : 'sell', type: 'market', amount: TAKING, label: label() });
    fills += trades.length;
    price = trades[0]?.price ?? price;
  }
  running.setClock(0);
  for (let n = 0; n < OPEN_ORDERS; n++) place(running, { side: 'buy', type: 'limit', amount: RESTING, label: label(), price: Math.floor(price * 0.8) - n });
}

const place = (running: Simulator, order: Record<string, unknown>): { trades: { price: number }[] } =>
  running.operate({ market_id: MARKET, action: 'order', symbol: SYMBOL, ...order }) as { trades: { price: number }[] };

const name = process.argv[2] ?? '';
if (name !== 'simulator') throw new UsageError(`unknown service ${JSON.stringify(name)}: simulator`);
await runService(name, () => loadConfig(MARKETS), simulator);
