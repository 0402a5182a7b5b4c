// How many channels go into one request.
import type { FeedLimits } from '../../exchanges/exchange.ts';

export interface AskState {
  /** Not before this, ms. */
  atMs: number;
  /** In no larger request than this: it was in one that was refused as a whole. */
  limit: number;
}

/** Quotes and a comma around each channel, and the rest of a request. */
const PER_WIRE_BYTES = 3;
const REQUEST_BYTES = 200;

/** The first channels of `asked` that fit into one request of the venue. At least one. */
export function chunkOf(asked: readonly (readonly [string, AskState])[], limits: FeedLimits): string[] {
  const chunk: string[] = [];
  let most = limits.maxWirePerRequest;
  let bytes = REQUEST_BYTES;
  for (const [wire, { limit }] of asked) {
    most = Math.min(most, limit);
    bytes += Buffer.byteLength(wire) + PER_WIRE_BYTES;
    if (chunk.length >= most || (bytes > limits.maxRequestBytes && chunk.length > 0)) break;
    chunk.push(wire);
  }
  return chunk;
}
