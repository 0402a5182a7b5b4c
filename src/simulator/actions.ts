// What can be done to a running simulator; the HTTP control port and tests in the same process call the same functions.
import type { Connection } from './connection.ts';
import type { Engine } from './engine.ts';
import { FAULT_KINDS, type Fault, type FaultKind, type FaultRequest } from './faults.ts';
import { GARBAGE_MODES } from './garbage.ts';
import type { Player } from './player.ts';
import type { Venue, World } from './world.ts';

/** A request to the control port that makes no sense; the message names the field. */
export class ControlError extends Error {}

const TEXTS = ['market_id', 'symbol', 'channel', 'mode', 'path'] as const;
/** An HTTP status that says no. */
const STATUS = /^[45]\d\d$/;
/** What `mode` may be, by the kind of the fault; other kinds have none. */
const MODES: Readonly<Partial<Record<FaultKind, readonly (string | RegExp)[]>>> = {
  garbage: GARBAGE_MODES,
  cut: ['close', 'terminate', '24h', 'shutdown'],
  rest_status: ['html', 'empty', 'truncated', 'error200', 'hang', STATUS],
  refuse_connect: [STATUS],
};
const NUMBERS = ['conn', 'duration_ms', 'count', 'probability', 'factor', 'retry_after_s', 'delay_ms'] as const;

export class Actions {
  readonly #world: World & { skewMs: number };
  readonly #venues: ReadonlyMap<string, Venue>;
  readonly #engine: Engine;
  readonly #player: Player;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(world: World & { skewMs: number }, venues: ReadonlyMap<string, Venue>, engine: Engine, player: Player) {
    this.#world = world;
    this.#venues = venues;
    this.#engine = engine;
    this.#player = player;
  }

  /** Puts a fault in force; cuts and half-open sockets happen at once. Throws ControlError. */
  inject(request: FaultRequest): Fault {
    check(request, this.#venues);
    const fault = this.#world.faults.add(request);
    const { kind, ...rest } = request;
    this.#world.ledger.note({ k: 'fault', id: fault.id, kind, ...rest });
    if (kind === 'cut' || kind === 'half_open') {
      this.#world.faults.remove(fault.id);
      for (const [venue, connection] of this.#targets(request)) {
        if (kind === 'half_open') this.#freeze(venue, connection);
        else this.#cut(venue, connection, request);
      }
    }
    return fault;
  }

  /** Ends one fault or all. */
  heal(id?: number): void {
    this.#world.faults.remove(id);
    this.#world.ledger.note({ k: 'heal', id: id ?? null });
  }

  /** Moves the exchange's clock against the real one. */
  setClock(offsetMs: number): void {
    if (!Number.isFinite(offsetMs)) throw new ControlError('offset_ms: expected a number');
    this.#world.skewMs = offsetMs;
    this.#world.ledger.note({ k: 'clock', offset_ms: offsetMs });
  }

  setRate(rate: number): void {
    if (!Number.isFinite(rate) || rate < 0 || rate > 1_000_000) throw new ControlError('rate: expected a number from 0 to 1000000');
    this.#engine.rate = rate;
    this.#world.ledger.note({ k: 'rate', rate });
  }

  /** Says something on a venue that it does not say by itself; returns how many sessions hear it. */
  announce(message: Readonly<Record<string, unknown>>): number {
    const venue = this.#venues.get(String(message['market_id']));
    if (venue === undefined) throw unknownMarket(message['market_id'], this.#venues);
    this.#world.ledger.note({ ...message, k: 'announce' });
    return venue.announce(message);
  }

  /** Does something to an account from outside its API; returns what it did. */
  operate(message: Readonly<Record<string, unknown>>): unknown {
    const venue = this.#venues.get(String(message['market_id']));
    if (venue === undefined) throw unknownMarket(message['market_id'], this.#venues);
    if (venue.operate === undefined) throw new ControlError(`market_id: ${venue.marketId} has no accounts`);
    this.#world.ledger.note({ ...message, k: 'operate' });
    return venue.operate(message);
  }

  state(): Record<string, unknown> {
    return {
      seed: this.#world.seed,
      rate: this.#engine.rate,
      offset_ms: this.#world.skewMs,
      now_us: this.#world.nowUs(),
      faults: this.#world.faults.list(),
      replay: this.#player.state(),
      markets: Object.fromEntries(
        [...this.#venues].map(([id, venue]) => [
          id,
          {
            ...venue.state(),
            instruments: [...venue.markets.values()].map(({ spec, history, watchers }) => ({
              symbol: spec.symbol,
              first_seq: history.first,
              last_seq: history.last,
              watched: watchers > 0,
            })),
          },
        ]),
      ),
    };
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #targets(request: FaultRequest): [Venue, Connection][] {
    return [...this.#venues.values()]
      .filter((venue) => request.market_id === undefined || venue.marketId === request.market_id)
      .flatMap((venue) => [...venue.connections].map((connection): [Venue, Connection] => [venue, connection]))
      .filter(([, connection]) => request.conn === undefined || request.conn === connection.id)
      .slice(0, request.count ?? Infinity);
  }

  /** The socket stays open and dead: nothing is read, answered or sent any more. */
  #freeze(venue: Venue, connection: Connection): void {
    venue.drop(connection);
    connection.freeze();
  }

  #cut(venue: Venue, connection: Connection, { mode, delay_ms }: FaultRequest): void {
    if (mode === 'terminate') connection.terminate();
    else if (mode === 'shutdown') {
      venue.announce({ event: 'serverShutdown' });
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        connection.close(1001, 'server shutdown');
      }, delay_ms ?? 1_000);
      this.#timers.add(timer);
    } else connection.close(mode === '24h' ? 1001 : 1000, mode === '24h' ? 'session is 24 hours old' : '');
  }
}

function check(request: FaultRequest, venues: ReadonlyMap<string, Venue>): void {
  const fields = request as unknown as Record<string, unknown>;
  if (!(FAULT_KINDS as readonly unknown[]).includes(fields['kind'])) throw unknown('kind', fields['kind'], FAULT_KINDS);
  for (const name of TEXTS) if (fields[name] !== undefined && typeof fields[name] !== 'string') throw new ControlError(`${name}: expected a string`);
  for (const name of NUMBERS) {
    const value = fields[name];
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value) || value < 0))
      throw new ControlError(`${name}: expected a number, 0 or more`);
  }
  const known = new Set<string>(['kind', ...TEXTS, ...NUMBERS]);
  const odd = Object.keys(fields).find((name) => !known.has(name));
  if (odd !== undefined) throw new ControlError(`${odd}: unknown field`);
  if (request.market_id !== undefined && !venues.has(request.market_id)) throw unknownMarket(request.market_id, venues);
  checkMode(request);
  checkSymbol(request, venues);
}

function checkMode({ kind, mode }: FaultRequest): void {
  const modes = MODES[kind];
  if (mode === undefined) return;
  if (modes === undefined) throw new ControlError(`mode: ${JSON.stringify(mode)}, but ${kind} has none`);
  if (!modes.some((known) => (typeof known === 'string' ? known === mode : known.test(mode))))
    throw unknown('mode', mode, modes.map((known) => (typeof known === 'string' ? known : 'a status from 400 to 599')));
}

/** In any case of letters, as faults compare it. */
function checkSymbol({ market_id, symbol }: FaultRequest, venues: ReadonlyMap<string, Venue>): void {
  if (symbol === undefined) return;
  const listed = [...venues.values()].filter((venue) => market_id === undefined || venue.marketId === market_id).flatMap((venue) => [...venue.markets.keys()]);
  if (!listed.some((name) => name.toLowerCase() === symbol.toLowerCase()))
    throw new ControlError(`symbol: ${JSON.stringify(symbol)} is not listed on ${market_id ?? 'any market'}; GET /control/state lists them`);
}

const unknown = (field: string, value: unknown, known: Iterable<string>): ControlError =>
  new ControlError(`${field}: ${value === undefined ? 'nothing' : JSON.stringify(value)} is not one of ${[...known].join(', ')}`);
const unknownMarket = (value: unknown, venues: ReadonlyMap<string, Venue>): ControlError => unknown('market_id', value, venues.keys());
