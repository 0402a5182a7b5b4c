// What the views read from, and the parameters that several of them take.
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { tradeSchema } from '../../../contracts/index.ts';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import { marketOf } from '../../../exchanges/registry.ts';
import type { Pool } from '../../../store/connect.ts';

export interface Sources {
  /** A session in which the server refuses every write. */
  readonly pool: Pool;
  readonly redis: Redis;
  readonly stream: Redis;
  readonly streamUrl: string;
  readonly clock: Clock;
  /** The markets of the configuration. */
  readonly markets: readonly { readonly marketId: string; readonly exchange: string }[];
}

/** A whole number in a query. */
export const wholeParam = (min: number, max: number, otherwise: number) =>
  z.string().regex(/^\d{1,16}$/, 'expected a whole number').transform(Number).pipe(z.number().min(min).max(max)).default(otherwise);

export const marketParam = z.string().max(32).refine((id) => marketOf(id) !== undefined, 'no market of this fleet');
export const symbolParam = tradeSchema.shape.symbol;
export const dayParam = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, 'expected YYYY-MM-DD')
  .refine((day) => !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day), 'no day of the calendar');

/** `what`: who does not answer, for people. */
export async function from<T>(what: 'Redis' | 'PostgreSQL', work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Error(`${what} does not answer: ${toError(error).message}`, { cause: error });
  }
}

/** The same, with what stands for the answer when there is none, and a line among the problems. */
export async function orElse<T>(problems: string[], what: 'Redis' | 'PostgreSQL', otherwise: T, work: () => Promise<T>): Promise<T> {
  try {
    return await from(what, work());
  } catch (error) {
    const { message } = toError(error);
    if (!problems.includes(message)) problems.push(message);
    return otherwise;
  }
}

/** Growth per second of counters that are read again and again, over the last few seconds. */
export class Rates {
  readonly #window: { atMs: number; values: ReadonlyMap<string, number> }[] = [];
  static readonly #SPAN_MS = 5_000;

  /** By name; null until a second reading. A counter that fell begins anew. */
  next(atMs: number, values: ReadonlyMap<string, number>): (name: string) => number | null {
    while (this.#window.length > 1 && atMs - this.#window[1]!.atMs >= Rates.#SPAN_MS) this.#window.shift();
    const [oldest] = this.#window;
    this.#window.push({ atMs, values });
    return (name) => {
      const [now, old] = [values.get(name), oldest?.values.get(name)];
      if (oldest === undefined || now === undefined || old === undefined || atMs <= oldest.atMs) return null;
      return (Math.max(0, now - old) * 1000) / (atMs - oldest.atMs);
    };
  }
}
