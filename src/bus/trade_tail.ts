// The newest trades of a few instruments, taken off the end of the stream: for eyes, which miss nothing when a burst is cut short.
import type { Redis } from 'ioredis';
import { parseStreamMessage, streamMarketDataKey, type Trade } from '../contracts/index.ts';
import { parsePlain } from '../core/json.ts';
import type { StreamEntry } from './entry_parser.ts';
import { GroupReader } from './group_reader.ts';
import { fieldsOf } from './stream_id.ts';

/** At most so many entries are looked at in one step; what lies before them is skipped. */
const STEP = 4_000;
const KEPT = 40;
/** Behind the end by more pages than this: jump to the end. */
const PAGES = 2;
const TRADE = Buffer.from('"type":"trade"');

export interface TailOptions {
  readonly redis: Redis;
  /** Where a socket of its own is opened. */
  readonly url: string;
}

export class TradeTail {
  readonly #options: TailOptions;
  /** By `market symbol`, newest first. */
  readonly #kept = new Map<string, Trade[]>();
  #reader: GroupReader | null = null;
  #last: string | null = null;
  #step: Promise<void> | null = null;

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** The newest trades since the instrument was asked for first, newest first. Rejects when Redis does not answer. */
  async newest(marketId: string, symbol: string): Promise<readonly Trade[]> {
    const key = `${marketId} ${symbol}`;
    if (!this.#kept.has(key)) this.#kept.set(key, []);
    // Several who ask at once share one step.
    this.#step ??= this.#advance().finally(() => {
      this.#step = null;
    });
    await this.#step;
    return this.#kept.get(key) ?? [];
  }

  /** Nobody looks at it any more. */
  forget(marketId: string, symbol: string): void {
    this.#kept.delete(`${marketId} ${symbol}`);
    if (this.#kept.size > 0) return;
    this.close();
  }

  close(): void {
    this.#reader?.destroy();
    this.#reader = null;
    this.#last = null;
  }

  async #advance(): Promise<void> {
    if (this.#reader?.alive !== true) this.#reader = await GroupReader.connect(this.#options.url, 'console-trades');
    this.#last ??= await this.#end();
    for (let page = 0; page < PAGES; page++) {
      const count = await this.#reader.readStream(streamMarketDataKey, this.#last, STEP, (entry) => this.#look(entry));
      if (count < STEP) return;
    }
    this.#last = await this.#end();
  }

  async #end(): Promise<string> {
    const { redis } = this.#options;
    if ((await redis.exists(streamMarketDataKey)) === 0) return '0-0';
    return String(fieldsOf((await redis.xinfo('STREAM', streamMarketDataKey)) as unknown[])['last-generated-id']);
  }

  #look(entry: StreamEntry): void {
    this.#last = entry.id;
    // Most entries are somebody else's: their bytes are looked at before a text is made of them.
    const { source, payloadStart, payloadEnd } = entry;
    if (payloadStart < 0 || !source.subarray(payloadStart, payloadEnd).includes(TRADE)) return;
    const text = entry.payload ?? '';
    const symbol = /"symbol":"([^"]+)"/.exec(text)?.[1];
    if (![...this.#kept.keys()].some((key) => key.endsWith(` ${symbol}`))) return;
    const parsed = parseStreamMessage(parsePlain(text));
    if (!parsed.ok || parsed.value.type !== 'trade') return;
    const kept = this.#kept.get(`${parsed.value.market_id} ${parsed.value.symbol}`);
    if (kept === undefined) return;
    kept.unshift(parsed.value);
    if (kept.length > KEPT) kept.pop();
  }
}
