// Whoever opens a resource registers its closer here; closing runs last-in-first-out, goes on past failures, and runs once.
export class Scope {
  readonly #closers: (() => void | Promise<void>)[] = [];
  #closing: Promise<void> | null = null;

  /** Takes charge of `resource`: `close` is called with it when the scope closes. Returns the resource. */
  own<T>(resource: T, close: (resource: T) => void | Promise<void>): T {
    this.#closers.push(() => close(resource));
    return resource;
  }

  /** Closes everything, newest first. Rejects with an AggregateError when closers failed, after all of them ran. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }
}
