// Where WebSocket frames begin and end in the bytes that a server sends (RFC 6455, section 5.2: unmasked, without extensions), however the
// socket's reads cut them. It reads nothing else: `ws` does the protocol, this finds the frames in a copy of its bytes.

/** Opcodes from here on are control frames: they carry no message. */
export const CONTROL = 8;
export const [TEXT, BINARY] = [1, 2];

const [FINAL, RESERVED, OPCODE, MASKED, SHORT] = [0x80, 0x70, 0x0f, 0x80, 0x7f];
const [LENGTH_16, LENGTH_64] = [126, 127];
const LONGEST_HEADER = 10;

/** `scan` takes the bytes of a read, then each `next` comes to one piece of a frame: all of it, unless a read ends within it. */
export class FrameScanner {
  opcode = 0;
  /** The frame is the last of its message. */
  isFinal = false;
  /** The piece's payload: from here … */
  from = 0;
  /** … to before here. */
  to = 0;
  /** The frame ends with the piece. */
  ends = false;
  /** This is no WebSocket of a server (or longer than allowed): nothing more is found. */
  isBroken = false;
  readonly #maxPayload: number;
  readonly #header = Buffer.alloc(LONGEST_HEADER);
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Bytes of a header that are there, and that it has. */
  #have = 0;
  #needs = 2;
  #rest = 0;
  #isInside = false;

  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** Between two frames: what comes next is a header. */
  get atBoundary(): boolean {
    return !this.isBroken && !this.#isInside && this.#have === 0;
  }

  scan(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  /** False when no payload is left in the bytes. */
  next(): boolean {
    if (this.isBroken || (!this.#isInside && !this.#readHeader())) return false;
    const left = this.#bytes.length - this.#at;
    if (left === 0 && this.#rest > 0) return false;
    this.from = this.#at;
    this.to = this.#at + Math.min(left, this.#rest);
    this.#rest -= this.to - this.from;
    this.#at = this.to;
    this.ends = this.#rest === 0;
    this.#isInside = !this.ends;
    return true;
  }

  /** False when the bytes end before the header does, or it is none. */
  #readHeader(): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    if (this.#have > 0 || at + LONGEST_HEADER > bytes.length) return this.#readCutHeader();
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    const length = second & SHORT;
    if (length === LENGTH_64) return this.#readCutHeader();
    const isLong = length === LENGTH_16;
    this.#at = at + (isLong ? 4 : 2);
    return this.#begin(first, second, isLong ? (bytes[at + 2]! << 8) | bytes[at + 3]! : length);
  }

  /** The rare ones: cut by the end of a read, and of very long frames. */
  #readCutHeader(): boolean {
    const header = this.#header;
    while (this.#have < this.#needs) {
      if (this.#at === this.#bytes.length) return false;
      header[this.#have++] = this.#bytes[this.#at++] ?? 0;
      if (this.#have !== 2) continue;
      const length = (header[1] ?? 0) & SHORT;
      this.#needs = length === LENGTH_16 ? 4 : length === LENGTH_64 ? LONGEST_HEADER : 2;
    }
    const [first = 0, second = 0] = [header[0], header[1]];
    const length = this.#needs === 2 ? second & SHORT : this.#needs === 4 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2));
    this.#have = 0;
    this.#needs = 2;
    return this.#begin(first, second, length);
  }

  #begin(first: number, second: number, length: number): boolean {
    this.opcode = first & OPCODE;
    this.isFinal = (first & FINAL) !== 0;
    this.#rest = length;
    this.isBroken = (first & RESERVED) !== 0 || (second & MASKED) !== 0 || this.#rest > this.#maxPayload;
    this.#isInside = !this.isBroken;
    return this.#isInside;
  }
}
