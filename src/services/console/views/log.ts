// What happened, and what could not be stored.
import { z } from 'zod';
import { countLetters, findLetter, listLetters, type StoredLetter } from '../../../bus/dlq.ts';
import { streamMarketDataKey, systemEventSchema } from '../../../contracts/index.ts';
import { Refusal, view, type View } from '../hub.ts';
import type { DeadLetters, Events } from '../shown.ts';
import type { RecentEvents } from './recent_events.ts';
import { from, wholeParam, type Sources } from './sources.ts';

const SEVERITIES = systemEventSchema.shape.severity.options;
const FAMILIES = [...new Set(systemEventSchema.shape.type.options.map((type) => type.split('.')[0]!))];

const eventParams = z.strictObject({
  /** At least so severe. */
  severity: z.enum(SEVERITIES).default('info'),
  /** What stands before the dot of a type. */
  family: z.string().max(32).refine((family) => FAMILIES.includes(family), `expected one of ${FAMILIES.join(', ')}`).optional(),
  limit: wholeParam(1, 500, 100),
});

export function eventsView(recent: RecentEvents): View {
  const read = async ({ severity, family, limit }: z.infer<typeof eventParams>): Promise<Events> => {
    const events = await from('Redis', recent.read());
    const least = SEVERITIES.indexOf(severity);
    return {
      events: events.filter((event) => SEVERITIES.indexOf(event.severity) >= least)
        .filter(({ type }) => family === undefined || type.startsWith(`${family}.`)).slice(0, limit),
    };
  };
  return view({ params: eventParams, everyMs: 500, read });
}

const ID = z.string().regex(/^\d{1,16}-\d{1,12}$/, 'expected an id like 1764000000000-0');
const letterParams = z.strictObject({ id: ID.optional(), after: ID.optional(), limit: wholeParam(1, 200, 50) });
const PAYLOAD = 20_000;

/** A page of dead letters, oldest first as the command lists them; or one of them. */
export function dlqView({ stream }: Sources): View {
  const read = async ({ id, after, limit }: z.infer<typeof letterParams>): Promise<DeadLetters> => {
    const [total, letters] = await from('Redis', Promise.all([
      countLetters(stream, streamMarketDataKey),
      id === undefined ? listLetters(stream, streamMarketDataKey, limit, after)
        : findLetter(stream, streamMarketDataKey, id).then((letter) => (letter === null ? [] : [letter])),
    ]));
    if (id !== undefined && letters.length === 0) throw new Refusal(404, 'unknown_letter', `id: ${JSON.stringify(id)} is no dead letter (any more)`);
    return { total, letters: letters.map(shownOf), next: id === undefined && letters.length === limit ? letters.at(-1)!.id : null };
  };
  return view({ params: letterParams, everyMs: 1_000, read });
}

const shownOf = ({ id, error = '', error_class = '', deliveries = '', failed_at, payload = '' }: StoredLetter): DeadLetters['letters'][number] => ({
  id, error, errorClass: error_class, deliveries, failedTs: failed_at === undefined ? null : Number(failed_at), payload: payload.slice(0, PAYLOAD),
});
