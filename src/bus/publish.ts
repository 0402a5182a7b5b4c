// The one way into stream:market_data: whole batches, one script call each, in order, never dropped.
//
// Up to two calls are in flight, so that the next batch travels while Redis works on the last. Batches form a chain: the
// script stores number n only on top of n-1, so a batch that fails (full Redis, lost connection) is sent again before
// anything later goes in, and one whose reply was lost is not stored twice.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { feedWriterKey } from '../contracts/index.ts';
import { Backoff } from '../core/backoff.ts';
import { toError } from '../core/errors.ts';
import { whenReady } from './connect.ts';
import { loadScript, runScript } from './script.ts';

const script = loadScript('publish');

export interface PublishBatch {
  /** Texts for the field `payload`; at most about 1000 of them and 1 MB, as the script blocks the server meanwhile. */
  payloads: readonly string[];
  /** symbol → last seq up to which everything is published or reported, written with the batch. */
  lastSeqs: ReadonlyMap<string, number>;
}

export interface PublisherOptions {
  streamKey: string;
  /** feed:seq:<market_id> */
  seqKey: string;
  /** Names the chain: unique to this process and market. */
  writer: string;
  random: () => number;
  /** A call failed and will be repeated. Called for every failure. */
  onFailure?: (error: Error) => void;
  /** Redis does not know the batches before: it was emptied, or came back without its last seconds. */
  onChainLost?: () => void;
}

interface Entry {
  readonly number: number;
  readonly batch: PublishBatch;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const MAX_IN_FLIGHT = 2;
const RETRY = { baseMs: 20, maxMs: 1_000 };

/** Publishes over a connection that must not be a blocking one. */
export class Publisher {
  readonly #redis: Redis;
  readonly #options: PublisherOptions;
  readonly #keys: readonly string[];
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  /** Not stored yet, oldest first; the first #sent of them are in flight or have just failed. */
  readonly #queue: Entry[] = [];
  #numbers = 0;
  #sent = 0;
  #unanswered = 0;
  /** probing: one call alone, as the very first and after a failure. failing: something was refused, the rest is awaited. */
  #mode: 'probing' | 'flowing' | 'failing' | 'closed' = 'probing';
  #beginChain = true;

  constructor(redis: Redis, options: PublisherOptions) {
    this.#redis = redis;
    this.#options = options;
    this.#keys = [options.streamKey, feedWriterKey(options.writer), options.seqKey];
    this.#backoff = new Backoff({ ...RETRY, random: options.random });
  }

  /** Batches not stored yet. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Resolves when the batch is stored. Retried for ever; rejects only when the publisher is closed before. */
  publish(batch: PublishBatch): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#mode === 'closed') return reject(new Error('publisher is closed'));
      this.#queue.push({ number: ++this.#numbers, batch, resolve, reject });
      this.#pump();
    });
  }

  /** Ends the retrying; what is not stored by now rejects. */
  close(): void {
    if (this.#mode === 'closed') return;
    this.#mode = 'closed';
    this.#stopped.abort();
    for (const entry of this.#queue.splice(0)) entry.reject(new Error('publisher is closed'));
  }

  #pump(): void {
    const limit = this.#mode === 'flowing' ? MAX_IN_FLIGHT : this.#mode === 'probing' ? 1 : 0;
    while (this.#sent < limit) {
      const entry = this.#queue[this.#sent];
      if (entry === undefined) return;
      this.#sent++;
      this.#unanswered++;
      runScript(this.#redis, script, this.#keys, scriptArgs(entry, this.#beginChain)).then(
        (reply) => this.#onReply(entry, reply),
        (error: unknown) => this.#onError(toError(error)),
      );
    }
  }

  #onReply(entry: Entry, reply: unknown): void {
    this.#unanswered--;
    if (this.#mode === 'closed') return;
    if (reply !== 0) {
      // A later batch is only ever stored on top of this one, so this one and all before it are stored.
      const stored = this.#queue.splice(0, this.#queue.indexOf(entry) + 1);
      this.#sent -= stored.length;
      this.#beginChain = false;
      if (this.#mode === 'probing') this.#mode = 'flowing';
      this.#backoff.reset();
      for (const done of stored) done.resolve();
    } else if (this.#mode === 'probing') {
      this.#beginChain = true;
      this.#sent = 0;
      this.#options.onChainLost?.();
    } else {
      this.#mode = 'failing';
    }
    this.#proceed();
  }

  #onError(error: Error): void {
    this.#unanswered--;
    if (this.#mode === 'closed') return;
    this.#mode = 'failing';
    this.#options.onFailure?.(error);
    this.#proceed();
  }

  #proceed(): void {
    if (this.#mode !== 'failing') this.#pump();
    else if (this.#unanswered === 0) void this.#retry();
  }

  /** Everything sent has been answered and something failed: begin again at the oldest, alone. */
  async #retry(): Promise<void> {
    const { signal } = this.#stopped;
    await sleep(this.#backoff.next(), undefined, { signal }).catch(() => undefined);
    await whenReady(this.#redis, signal).catch(() => undefined);
    if (signal.aborted) return;
    this.#sent = 0;
    this.#mode = 'probing';
    this.#pump();
  }
}

function scriptArgs({ number, batch }: Entry, beginChain: boolean): (string | number)[] {
  const args: (string | number)[] = [number, beginChain ? 'first' : 'next', batch.lastSeqs.size];
  for (const [symbol, seq] of batch.lastSeqs) args.push(symbol, seq);
  return args.concat(batch.payloads);
}
