// The text of a recording that may be packed, up to where it was cut.
import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib';

/** Pieces of plain text handed on at once. */
const PIECE_BYTES = 1024 * 1024;

/** The text of a file by its name (`.gz`, `.zst`, else plain), in pieces. Throws when it is no such file at all. */
export function* textsOf(name: string, bytes: Buffer): Generator<string, void, undefined> {
  const decoder = new TextDecoder();
  for (const piece of piecesOf(name, bytes)) yield decoder.decode(piece, { stream: true });
}

function* piecesOf(name: string, bytes: Buffer): Generator<Buffer, void, undefined> {
  if (name.endsWith('.zst')) yield* zstdFrames(bytes);
  // Flushing instead of finishing gives what there is of a file that was cut; concatenated members are one text to gzip.
  else if (name.endsWith('.gz')) yield* slices(gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }));
  else yield* slices(bytes);
}

function* slices(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** Node decodes one frame of a file that holds many, and tells how far that was. */
function* zstdFrames(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; ) {
    const options = { info: true, finishFlush: constants.ZSTD_e_flush };
    let frame: { buffer: Buffer; engine: { bytesWritten: number } };
    try {
      frame = zstdDecompressSync(bytes.subarray(at), options) as unknown as typeof frame;
    } catch (error) {
      const left = bytes.subarray(at);
      // The beginning of a frame, too short to be one; or what a power failure leaves of a file that had grown already: zeros.
      if (at > 0 && (left.length < MIN_FRAME || left.every((byte) => byte === 0))) return;
      throw error;
    }
    yield* slices(frame.buffer);
    if (frame.engine.bytesWritten === 0) return;
    at += frame.engine.bytesWritten;
  }
}

/** A frame's header is at most eighteen bytes. */
const MIN_FRAME = 18;
