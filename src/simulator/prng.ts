// Seeded randomness: a stream per market (so that what one market does never shifts another) and stateless hashes for
// values that must come out the same each time they are derived.

/** Spreads the bits of an integer: murmur3's finaliser. */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32 bits of two numbers, of which the second may exceed 2^32. */
export function hashPair(a: number, b: number): number {
  return mix32(mix32(a + Math.floor(b / 4294967296)) ^ (b >>> 0));
}

/** FNV-1a of a text, finalised. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix32(h);
}

/** sfc32: small, fast, passes PractRand; equal seeds give equal streams. */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  constructor(seed: number) {
    this.#a = mix32(seed);
    this.#b = mix32(seed ^ 0x9e3779b9);
    this.#c = mix32(seed ^ 0x243f6a88);
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** Uniform integer in 0..2^32-1. */
  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.u32() / 4294967296;
  }
}
