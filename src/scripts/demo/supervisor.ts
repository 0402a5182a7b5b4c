// Keeps one service process alive: starts it, starts it again with back-off when it ends by itself, stops it for good.
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { freePort, hasExited, spawnChild, stopChild } from '../local/child.ts';
import { nodeOptions } from '../local/node_options.ts';

const START = join(import.meta.dirname, '../start.ts');
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 5_000;
/** A process that lived this long has recovered: its next failure starts at the first delay again. */
const HEALTHY_AFTER_MS = 10_000;
const STOP_GRACE_MS = 8_000;

export interface ServiceSpec {
  /** What the view calls it, and its log file. */
  name: string;
  service: string;
  env: Readonly<Record<string, string>>;
  logDir: string;
}

export class Supervised {
  readonly spec: ServiceSpec;
  readonly logFile: string;
  restarts = 0;
  #child: ChildProcess | null = null;
  #metricsPort = 0;
  #stopping = false;
  #delayMs = FIRST_DELAY_MS;
  #timer: NodeJS.Timeout | null = null;

  constructor(spec: ServiceSpec) {
    this.spec = spec;
    this.logFile = join(spec.logDir, `${spec.name}.log`);
  }

  get name(): string {
    return this.spec.name;
  }

  get pid(): number | null {
    return this.#child !== null && !hasExited(this.#child) ? (this.#child.pid ?? null) : null;
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${this.#metricsPort}`;
  }

  /** Starts the process and keeps it running until stop(). */
  async start(): Promise<void> {
    await this.#spawn();
  }

  /** Runs the process once; resolves with its exit code. */
  async runOnce(): Promise<number> {
    this.#stopping = true;
    const child = await this.#spawn();
    return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  }

  /** SIGTERM, then SIGKILL after eight seconds. Resolves when it is gone; true when it went by itself. */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) return true;
    await stopChild(child, 'SIGTERM', STOP_GRACE_MS);
    return child.signalCode !== 'SIGKILL';
  }

  /** As a crash would: the supervision starts it again. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async #spawn(): Promise<ChildProcess> {
    this.#metricsPort = await freePort();
    const env = { ...this.spec.env, METRICS_PORT: String(this.#metricsPort), METRICS_HOST: '127.0.0.1' };
    const { service } = this.spec;
    const child = spawnChild(process.execPath, [...nodeOptions(service), START, service], { env, logFile: this.logFile, deathSignal: 'TERM' });
    this.#child = child;
    const startedAt = process.hrtime.bigint();
    child.once('error', () => this.#ended(startedAt));
    child.once('exit', () => this.#ended(startedAt));
    return child;
  }

  #ended(startedAt: bigint): void {
    if (this.#stopping) return;
    const livedMs = Number(process.hrtime.bigint() - startedAt) / 1e6;
    if (livedMs > HEALTHY_AFTER_MS) this.#delayMs = FIRST_DELAY_MS;
    this.restarts++;
    this.#timer = setTimeout(() => void this.#spawn(), this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, MAX_DELAY_MS);
  }
}
