// How far an export is: a bar on a terminal, a line every few seconds elsewhere.
interface Target {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const BAR = 30;
const BAR_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;

export class Progress {
  readonly #out: Target;
  readonly #total: number;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #lastMs: number;
  #drawn = false;

  constructor(out: Target, total: number, nowMs: () => number) {
    this.#out = out;
    this.#total = total;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#lastMs = this.#startMs;
  }

  /** `rows` are written. */
  at(rows: number): void {
    const now = this.#nowMs();
    const isTerminal = this.#out.isTTY === true;
    if (now - this.#lastMs < (isTerminal ? BAR_EVERY_MS : LINE_EVERY_MS)) return;
    this.#lastMs = now;
    const share = this.#total === 0 ? 1 : Math.min(1, rows / this.#total);
    const figures = `${String(Math.floor(share * 100)).padStart(3)} %  ${rows.toLocaleString('en-US')} of ${this.#total.toLocaleString('en-US')} rows`;
    const rate = `${Math.round(rows / Math.max(0.001, (now - this.#startMs) / 1000)).toLocaleString('en-US')}/s`;
    if (!isTerminal) {
      this.#out.write(`${figures.trimStart()}  ${rate}\n`);
      return;
    }
    const full = Math.round(share * BAR);
    this.#out.write(`\r[${'█'.repeat(full)}${'░'.repeat(BAR - full)}] ${figures}  ${rate}\u001b[K`);
    this.#drawn = true;
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#drawn) this.#out.write('\r\u001b[K');
    this.#drawn = false;
  }
}
