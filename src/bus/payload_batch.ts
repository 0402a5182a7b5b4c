// A batch of stream entries in the form in which it travels: bytes in a reused buffer. Payload strings are not kept (a
// waiting string would keep alive the frame it was cut from), so what waits for Redis costs its own size.
import { CommandBuffer } from './resp_writer.ts';

export class PayloadBatch {
  readonly #out = new CommandBuffer();
  readonly #head: Buffer;
  readonly #seqs = new Map<string, number>();
  #count = 0;

  /** `head`: the XADD command up to its last argument, in wire form. */
  constructor(head: Buffer) {
    this.#head = head;
  }

  add(payload: string): void {
    this.#out.commandWith(this.#head, payload);
    this.#count++;
  }

  /** Once this batch is stored, `symbol` is complete up to `seq`: published or reported. */
  reached(symbol: string, seq: number): void {
    this.#seqs.set(symbol, seq);
  }

  get count(): number {
    return this.#count;
  }

  get size(): number {
    return this.#out.size;
  }

  /** symbol → how far it has got with this batch. */
  get lastSeqs(): ReadonlyMap<string, number> {
    return this.#seqs;
  }

  /** The commands; valid until the next clear(). */
  bytes(): Buffer {
    return this.#out.bytes();
  }

  clear(): void {
    this.#out.clear();
    this.#seqs.clear();
    this.#count = 0;
  }
}
