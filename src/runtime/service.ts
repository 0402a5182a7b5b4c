// The one life of every process: configuration → resources → run → SIGTERM → close, within ten seconds.
import type { Clock } from '../core/clock.ts';
import { UsageError, classify, toError } from '../core/errors.ts';
import { systemClock } from './clock.ts';
import type { Config } from './env.ts';
import { Health, serveHealth } from './health.ts';
import { createLogger, type Logger } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { Scope } from './scope.ts';

export interface ServiceContext {
  readonly service: string;
  readonly config: Config;
  readonly scope: Scope;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly clock: Clock;
  readonly random: () => number;
  /** Aborts when the process shall end: stop intake, finish the batch. */
  readonly signal: AbortSignal;
  /** A failure that this process cannot recover from: ends it with exit code 1, everything closed. */
  fail(error: unknown): void;
}

/** What a service's main.ts exports. A one-shot service resolves when done; a long-running one when `signal` aborted. */
export type Start = (ctx: ServiceContext) => Promise<void>;

/** From the signal (or the end of a one-shot) on: then nothing is waited for any more. Supervisors kill after ten seconds. */
const CLOSE_DEADLINE_MS = 7_500;
/** A service that still has not ended its own work by then has hung. */
const FORCE_EXIT_MS = 9_000;

/**
 * Runs one service until it is done, fails, or SIGTERM/SIGINT arrives. Exit code 0 done, 1 failed, 2 bad usage or
 * configuration. What is not closed seven and a half seconds after the signal is left to the end of the process.
 */
export async function runService(service: string, readConfig: () => Config, start: Start): Promise<void> {
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${service}: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  const log = createLogger({ service, level: config.logLevel, secrets: config.secrets });
  const scope = new Scope();
  const stop = new AbortController();
  let failure: Error | null = null;
  const fail = (error: unknown): void => {
    failure ??= toError(error);
    stop.abort();
  };
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    log.info({ signal: name }, 'stopping');
    stop.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  // Half-alive is worse than dead: what nobody caught ends the process, and its supervisor starts it again.
  process.on('unhandledRejection', fail);
  process.on('uncaughtException', fail);
  const deadline = new AbortController();
  const closeInTime = once(() => {
    setTimeout(() => deadline.abort(), CLOSE_DEADLINE_MS);
    forceExitAfter(FORCE_EXIT_MS, log);
  });
  stop.signal.addEventListener('abort', closeInTime, { once: true });

  try {
    await runInside(service, config, start, { scope, log, signal: stop.signal, fail });
  } catch (error) {
    if (!(stop.signal.aborted && isOfStopping(error))) failure ??= toError(error);
  }
  closeInTime();
  await scope.close(deadline.signal).catch((error: unknown) => log.warn({ err: toError(error) }, 'closing was not clean'));
  const reason = failure;
  if (reason instanceof UsageError) process.stderr.write(`${service}: ${reason.message}\n`);
  else if (reason !== null) log.fatal({ err: reason }, `${service} failed: ${reason.message}`);
  process.exit(reason === null ? 0 : reason instanceof UsageError ? 2 : 1);
}

async function runInside(
  service: string,
  config: Config,
  start: Start,
  life: Pick<ServiceContext, 'scope' | 'log' | 'signal' | 'fail'>,
): Promise<void> {
  const metrics = createMetrics(service);
  const health = new Health();
  if (config.metrics.port !== null) {
    const { server, port } = await serveHealth({ ...config.metrics, port: config.metrics.port, metrics, health });
    life.scope.own(server, (s) => {
      s.closeAllConnections();
      s.close();
    });
    life.log.info({ port, host: config.metrics.host }, 'metrics, healthz and readyz');
  }
  await start({ service, config, metrics, health, clock: systemClock(), random: Math.random, ...life });
}

/** What was under way when the process was told to stop: it was aborted, or its connection was cut. */
function isOfStopping(error: unknown): boolean {
  return (error as { name?: unknown }).name === 'AbortError' || classify(error) === 'infrastructure';
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function forceExitAfter(ms: number, log: Logger): void {
  setTimeout(() => {
    log.fatal('closing took too long; leaving');
    process.exit(1);
  }, ms).unref();
}

/** Resolves when `signal` aborts: what a long-running service awaits at the end of its start(). */
export function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
