// Frames that stand one behind the other in memory, as the socket's reads left them there: copied at once, some 300 of them where they come
// fast. Only whole frames are in a run, and each is looked at: what it holds is what the session received, nothing else.

/** First byte of a message in one frame of a server (RFC 6455, section 5.2: unmasked, without extensions): text or binary. */
const [TEXT, BINARY] = [0x81, 0x82];
/** Second byte of a frame whose length stands in the next two; shorter ones are the length. */
const LENGTH_16 = 126;
const NOTHING = Buffer.alloc(0);

/** The run of one connection. Keeps the memory of its frames until it is taken or cleared. */
export class FrameRun {
  frames = 0;
  /** When its first message was received, µs. */
  micros = 0;
  #bytes: Buffer = NOTHING;
  #from = 0;
  #to = -1;

  /**
   * Takes a message in when its frame stands right behind the run; false when not. Whether it is in the same memory is not asked, which would
   * take longer than all the rest: a run begins in the memory of a read alone, and where a whole frame stands next in a read, of the same
   * length and at the same place, it is this one.
   */
  follows(message: Buffer): boolean {
    const length = message.length;
    const to = message.byteOffset + length;
    const from = this.#to;
    if (to !== from + length + (length < LENGTH_16 ? 2 : 4) || to > this.#bytes.length || !isFrame(this.#bytes, from, length)) return false;
    this.#to = to;
    this.frames++;
    return true;
  }

  /**
   * Begins a new run with a message; false when no frame of its own stands around it (it was cut, or is longer than 64 KB), or when it might
   * have been put together in Buffer's pool, where anything may stand in front of it: such memory begins at multiples of eight.
   */
  begin(message: Buffer, micros: number): boolean {
    const { buffer, byteOffset, length } = message;
    const mayBePooled = buffer.byteLength === Buffer.poolSize && byteOffset % 8 === 0;
    this.#bytes = mayBePooled ? NOTHING : Buffer.from(buffer);
    this.#from = byteOffset - (length < LENGTH_16 ? 2 : 4);
    this.#to = byteOffset + length;
    if (this.#from < 0 || !isFrame(this.#bytes, this.#from, length)) {
      this.clear();
      return false;
    }
    this.frames = 1;
    this.micros = micros;
    return true;
  }

  /** A view of the whole run. */
  get bytes(): Buffer {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  clear(): void {
    this.frames = 0;
    this.#bytes = NOTHING;
    this.#to = -1;
  }
}

/** Whether a frame with so much payload begins there. */
function isFrame(bytes: Buffer, at: number, length: number): boolean {
  const first = bytes[at];
  if (first !== TEXT && first !== BINARY) return false;
  if (length < LENGTH_16) return bytes[at + 1] === length;
  return bytes[at + 1] === LENGTH_16 && ((bytes[at + 2]! << 8) | bytes[at + 3]!) === length;
}

/** Calls back for each frame of a run with the place of its payload. */
export function eachFrame(bytes: Buffer, each: (isBinary: boolean, from: number, to: number) => void): void {
  for (let at = 0; at < bytes.length; ) {
    const isBinary = bytes[at] === BINARY;
    const short = bytes[at + 1]!;
    const from = at + (short === LENGTH_16 ? 4 : 2);
    at = from + (short === LENGTH_16 ? (bytes[at + 2]! << 8) | bytes[at + 3]! : short);
    each(isBinary, from, at);
  }
}
