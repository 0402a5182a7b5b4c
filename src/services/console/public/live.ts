// One stream for the whole page: what is watched comes in at most ten times a second, however much happens.
import type { Shown, Trouble } from '../shown.ts';

export type Name = keyof Shown;
export type Query = Readonly<Record<string, string | number | undefined>>;
export type Answer<N extends Name> = Shown[N] | Trouble;

export const isTrouble = (answer: object): answer is Trouble => 'error' in answer;

function textOf(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '').map(([name, value]) => [name, String(value)]);
  return new URLSearchParams(given).toString();
}

const topicOf = (name: Name, query: Query): string => {
  const text = textOf(query);
  return text === '' ? name : `${name}?${text}`;
};

/** Asks once. Rejects with one line when nothing answers. */
export async function ask<N extends Name>(name: N, query: Query = {}): Promise<Answer<N>> {
  const response = await fetch(`/api/${topicOf(name, query)}`).catch(() => null);
  if (response === null) return { error: { code: 'away', message: 'The console does not answer. Is it still running?' } };
  return response.json() as Promise<Answer<N>>;
}

/** What a page watches; open() once all of it is said. */
export class Watching {
  readonly #handlers = new Map<string, (answer: object) => void>();
  #source: EventSource | null = null;

  watch<N extends Name>(name: N, query: Query, handler: (answer: Answer<N>) => void): this {
    this.#handlers.set(topicOf(name, query), handler as (answer: object) => void);
    return this;
  }

  open(): this {
    if (this.#handlers.size === 0) return this;
    const query = new URLSearchParams([...this.#handlers.keys()].map((topic) => ['topic', topic]));
    const source = new EventSource(`/api/live?${query.toString()}`);
    this.#source = source;
    source.addEventListener('open', () => show('live', 'live'));
    source.addEventListener('error', () => {
      // Refused, and not tried again: the token may have changed.
      if (source.readyState === EventSource.CLOSED) show('lost', 'refused: load the page again');
      else show('lost', 'connection lost, trying again');
    });
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      for (const [topic, answer] of Object.entries(JSON.parse(data) as Record<string, object>)) this.#handlers.get(topic)?.(answer);
    });
    return this;
  }

  close(): void {
    this.#source?.close();
  }
}

function show(state: 'live' | 'lost', text: string): void {
  const link = document.querySelector<HTMLElement>('#link')!;
  link.dataset['state'] = state;
  if (link.textContent !== text) link.textContent = text;
}
