// Builds the bytes of a pipeline in one buffer that is used again. Concatenating strings and measuring each costs twice
// as much as writing them where they belong and measuring on the way.
import { bulk } from './resp.ts';

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const ZERO = 48;
/** Most bytes of one UTF-16 unit in UTF-8. */
const WIDEST = 3;
/** `$`, the digits of a length, and two line ends. */
const FRAMING = 20;
const KEPT_BYTES = 1024 * 1024;

export class CommandBuffer {
  #buffer: Buffer;
  #at = 0;

  constructor(bytes = 16 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** Begins anew. What an exceptional batch has grown to is given back. */
  clear(): void {
    this.#at = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
  }

  get size(): number {
    return this.#at;
  }

  /** What was written; valid until the next clear(). */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  /** One command. */
  command(...args: readonly (string | number)[]): void {
    let text = `*${args.length}\r\n`;
    for (const arg of args) text += bulk(String(arg));
    this.#reserve(text.length * WIDEST);
    this.#at += this.#buffer.write(text, this.#at, 'utf8');
  }

  /** A command whose beginning is ready in wire form, and its last argument. */
  commandWith(head: Buffer, last: string): void {
    this.#reserve(head.length + last.length * WIDEST + FRAMING);
    this.#at += head.copy(this.#buffer, this.#at);
    this.#lastArgument(last);
  }

  /** The length stands before the text: it is guessed to be the number of characters, and put right when it was not. */
  #lastArgument(text: string): void {
    const buffer = this.#buffer;
    const start = this.#at;
    const guess = digits(text.length);
    const from = start + guess + 3;
    const length = buffer.write(text, from, 'utf8');
    const width = digits(length);
    if (width !== guess) buffer.copyWithin(start + width + 3, from, from + length);
    buffer[start] = DOLLAR;
    for (let i = start + width, rest = length; i > start; i--) {
      buffer[i] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    buffer[start + width + 1] = CR;
    buffer[start + width + 2] = LF;
    const end = start + width + 3 + length;
    buffer[end] = CR;
    buffer[end + 1] = LF;
    this.#at = end + 2;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#at + bytes, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function digits(n: number): number {
  let width = 1;
  for (let limit = 10; n >= limit; limit *= 10) width++;
  return width;
}
