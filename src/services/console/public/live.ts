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

const AWAY: Trouble = { error: { code: 'away', message: 'The console does not answer. Is it still running?' } };

/** Never rejects; status 0: nothing answers, or something else than the console does. */
async function get(topic: string): Promise<{ status: number; answer: object }> {
  try {
    const response = await fetch(`/api/${topic}`);
    return { status: response.status, answer: await response.json() as object };
  } catch {
    return { status: 0, answer: AWAY };
  }
}

/** Asks once. Never rejects: what is wrong is the answer. */
export const ask = async <N extends Name>(name: N, query: Query = {}): Promise<Answer<N>> => (await get(topicOf(name, query))).answer as Answer<N>;

/** A page that nobody sees gives its connection back after this: a browser has six to one server, and the seventh page would not load. */
const HIDDEN_MS = 5_000;
/** From one attempt to the next where the stream was refused. */
const REFUSED_MS = 5_000;

/** What a page watches; open() once all of it is said. */
export class Watching {
  readonly #handlers = new Map<string, (answer: object) => void>();
  #source: EventSource | null = null;
  #timer: number | undefined;
  #state: 'new' | 'open' | 'closed' = 'new';

  watch<N extends Name>(name: N, query: Query, handler: (answer: Answer<N>) => void): this {
    this.#handlers.set(topicOf(name, query), handler as (answer: object) => void);
    return this;
  }

  open(): this {
    if (this.#handlers.size === 0) return this;
    this.#state = 'open';
    document.addEventListener('visibilitychange', this.#seen);
    this.#connect();
    return this;
  }

  close(): void {
    this.#state = 'closed';
    document.removeEventListener('visibilitychange', this.#seen);
    this.#disconnect();
  }

  #connect(): void {
    this.#disconnect();
    const query = new URLSearchParams([...this.#handlers.keys()].map((topic) => ['topic', topic]));
    const source = new EventSource(`/api/live?${query.toString()}`);
    this.#source = source;
    source.addEventListener('open', () => show('live', 'live'));
    source.addEventListener('error', () => {
      // Refused, which the browser does not try again: the answers to the single questions say why.
      if (source.readyState === EventSource.CLOSED) void this.#explain(source);
      else show('lost', 'connection lost, trying again');
    });
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      for (const [topic, answer] of Object.entries(JSON.parse(data) as Record<string, object>)) this.#handlers.get(topic)?.(answer);
    });
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  readonly #seen = (): void => {
    clearTimeout(this.#timer);
    if (document.hidden) this.#timer = setTimeout(() => this.#disconnect(), HIDDEN_MS);
    else if (this.#source === null || this.#source.readyState === EventSource.CLOSED) this.#connect();
  };

  async #explain(source: EventSource): Promise<void> {
    show('lost', 'refused, trying again');
    let isWrong = false;
    for (const [topic, handler] of this.#handlers) {
      const { answer, status } = await get(topic);
      if (this.#state !== 'open' || this.#source !== source) return;
      handler(answer);
      isWrong ||= status >= 400 && status < 500;
    }
    // What is wrong in the address stays wrong.
    if (isWrong) show('lost', 'refused: the page says why');
    else this.#timer = setTimeout(() => this.#connect(), REFUSED_MS);
  }
}

function show(state: 'live' | 'lost', text: string): void {
  const link = document.querySelector<HTMLElement>('#link')!;
  link.dataset['state'] = state;
  if (link.textContent !== text) link.textContent = text;
}
