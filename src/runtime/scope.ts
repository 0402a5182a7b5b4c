// Whoever opens a resource registers its closer here; closing runs last-in-first-out, goes on past failures, and runs once.
// One deadline for all: what hangs must not keep those behind it from being closed.
export class Scope {
  readonly #closers: (() => void | Promise<void>)[] = [];
  #closing: Promise<void> | null = null;

  /** Takes charge of `resource`: `close` is called with it when the scope closes. Returns the resource. */
  own<T>(resource: T, close: (resource: T) => void | Promise<void>): T {
    this.#closers.push(() => close(resource));
    return resource;
  }

  /**
   * Closes everything, newest first. Once `deadline` has aborted no closer is waited for any more, though each is still called.
   * Rejects with an AggregateError when closers failed or were not waited for, after all of them were called.
   */
  close(deadline?: AbortSignal): Promise<void> {
    this.#closing ??= this.#closeAll(deadline);
    return this.#closing;
  }

  async #closeAll(deadline: AbortSignal | undefined): Promise<void> {
    const failures: unknown[] = [];
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => undefined);
    const onLate = (): void => late.reject(new Error('closing took too long'));
    if (deadline?.aborted === true) onLate();
    else deadline?.addEventListener('abort', onLate, { once: true });
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await Promise.race([closer(), late.promise]);
      } catch (error) {
        failures.push(error);
      }
    }
    deadline?.removeEventListener('abort', onLate);
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }
}
