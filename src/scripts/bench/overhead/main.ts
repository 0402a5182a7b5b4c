// `receiver` and `distributor` without metrics: what the other side of the overhead's bench runs. Otherwise as `npm start` runs them;
// /readyz is there, because somebody must know when they are.
import { createServer } from 'node:http';
import { Registry, type Counter, type Gauge, type Histogram } from 'prom-client';
import { UsageError } from '../../../core/errors.ts';
import { MARKETS } from '../../../exchanges/registry.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { loadConfig } from '../../../runtime/env.ts';
import { Health } from '../../../runtime/health.ts';
import { createLogger } from '../../../runtime/log.ts';
import type { Metrics } from '../../../runtime/metrics.ts';
import { Scope } from '../../../runtime/scope.ts';
import { start as distributor } from '../../../services/distributor/main.ts';
import { start as receiver } from '../../../services/receiver/main.ts';

const nothing = (): undefined => undefined;
const SILENT = {
  inc: nothing, dec: nothing, set: nothing, observe: nothing, reset: nothing, remove: nothing, zero: nothing, startTimer: () => () => 0,
  labels: () => SILENT, get: () => Promise.resolve({ values: [] }),
} as unknown as Counter & Gauge & Histogram;
const none: Metrics = { registry: new Registry(), counter: () => SILENT, gauge: () => SILENT, histogram: () => SILENT };

const name = process.argv[2] ?? '';
const start = { receiver, distributor }[name];
if (start === undefined) throw new UsageError(`unknown service ${JSON.stringify(name)}: receiver or distributor`);
const config = loadConfig(MARKETS);
const [scope, stop, health] = [new Scope(), new AbortController(), new Health()];
const log = createLogger({ service: name, level: config.logLevel, secrets: config.secrets });
process.once('SIGTERM', () => stop.abort());
createServer((_request, response) => response.writeHead(health.ready ? 200 : 503).end()).listen(config.metrics.port ?? 0, config.metrics.host);
await start({
  service: name, config, scope, log, health, metrics: none, clock: systemClock(), random: Math.random, signal: stop.signal,
  fail: (error) => {
    log.fatal({ err: error }, 'failed');
    process.exit(1);
  },
});
await scope.close();
process.exit(0);
