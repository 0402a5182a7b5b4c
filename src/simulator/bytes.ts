// A growing byte buffer for latin1 text. Ropes of thousands of small strings cost the garbage collector more than the
// trades they are made of; copied into bytes at once, each text dies young.

const FIRST = 64 * 1024;

export class Bytes {
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  append(text: string): void {
    const end = this.#used + text.length;
    if (end > this.#buffer.length) this.#grow(end);
    this.#buffer.write(text, this.#used, 'latin1');
    this.#used = end;
  }

  /** What was appended; the next append starts anew, in other memory. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#used);
    if (this.#used > 0) this.#buffer = Buffer.allocUnsafeSlow(Math.max(FIRST, Math.min(this.#buffer.length, this.#used * 2)));
    this.#used = 0;
    return taken;
  }

  clear(): void {
    this.#used = 0;
  }

  #grow(atLeast: number): void {
    const wider = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, atLeast));
    this.#buffer.copy(wider, 0, 0, this.#used);
    this.#buffer = wider;
  }
}
