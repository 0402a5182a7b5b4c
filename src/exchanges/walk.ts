// What the normalisers of all exchanges share: the quick way through a frame first, the exact way for what is unusual.
import { parseExact, type Json } from '../core/json.ts';
import type { FrameClass, MessageSink, Normaliser } from './exchange.ts';

export interface Walk {
  /** One pass over the frame's text; null: not for this way, and nothing reached the sink. */
  quick(frame: string, receivedTs: number, sink: MessageSink): FrameClass | null;
  /** The same over the parsed frame: it also decides what is malformed. Nothing of a malformed frame reaches the sink. */
  exact(root: Json, receivedTs: number, sink: MessageSink): FrameClass;
}

/** A normaliser that never throws on a frame. `exactOnly` leaves the quick way out: the reference that tests compare with. */
export function normaliserOf(walk: Walk, exactOnly: boolean): Normaliser {
  return {
    normalise(frame: string, receivedTs: number, sink: MessageSink): FrameClass {
      const found = exactOnly ? null : walk.quick(frame, receivedTs, sink);
      if (found !== null) return found;
      let root: Json;
      try {
        root = parseExact(frame);
      } catch {
        // no JSON, or nested beyond what the stack holds
        return 'malformed';
      }
      return walk.exact(root, receivedTs, sink);
    },
  };
}
