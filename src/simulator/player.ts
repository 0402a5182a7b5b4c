// Plays recordings back: each begins when somebody hears one of its streams, and runs at its own pace times the speed.
import type { StreamFrame } from './recording.ts';
import type { Venue, World } from './world.ts';

/** Time for a client to subscribe the rest after its first stream, ms. */
const GRACE_MS = 500;

export interface Tape {
  readonly venue: Venue;
  readonly frames: readonly StreamFrame[];
  readonly name: string;
}

interface Reel extends Tape {
  readonly streams: readonly string[];
  startMs: number | null;
  next: number;
}

export class Player {
  readonly #world: World;
  readonly #speed: number;
  readonly #loop: boolean;
  readonly #reels: Reel[];

  constructor(world: World, tapes: readonly Tape[], speed: number, loop: boolean) {
    this.#world = world;
    this.#speed = speed;
    this.#loop = loop;
    this.#reels = tapes.map((tape) => ({ ...tape, streams: [...new Set(tape.frames.map((frame) => frame.stream))], startMs: null, next: 0 }));
  }

  tick(): void {
    const now = this.#world.clock.monotonicMs();
    for (const reel of this.#reels) {
      if (reel.startMs === null) {
        if (!reel.streams.some((stream) => reel.venue.hears(stream))) continue;
        reel.startMs = now + GRACE_MS - (reel.frames[0]?.atMs ?? 0) / this.#speed;
        this.#world.ledger.note({ k: 'replay', market_id: reel.venue.marketId, file: reel.name, event: 'start' });
      }
      this.#play(reel, (now - reel.startMs) * this.#speed);
    }
  }

  state(): Record<string, unknown>[] {
    return this.#reels.map(({ name, venue, streams, next, frames, startMs }) => ({
      name,
      market_id: venue.marketId,
      streams,
      played: next,
      frames: frames.length,
      running: startMs !== null && next < frames.length,
    }));
  }

  #play(reel: Reel, untilMs: number): void {
    for (let frame = reel.frames[reel.next]; frame !== undefined && frame.atMs <= untilMs; frame = reel.frames[++reel.next]) {
      reel.venue.replay(frame.stream, frame.data);
      if (reel.next < reel.frames.length - 1) continue;
      this.#world.ledger.note({ k: 'replay', market_id: reel.venue.marketId, file: reel.name, event: 'end' });
      if (!this.#loop) continue;
      reel.startMs = null;
      reel.next = 0;
      return;
    }
  }
}
