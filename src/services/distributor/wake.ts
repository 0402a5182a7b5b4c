// A condition that several loops wait on: whoever changed something calls notify(), and the waiters look again.
export class Wake {
  readonly #waiters = new Set<() => void>();

  notify(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** Resolves when `condition` holds, looking again at each notify(). */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.next(null);
  }

  /** Resolves at the next notify(), or after `ms` (null: never by itself). */
  next(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(() => done(), ms);
      const done = (): void => {
        if (timer !== null) clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      this.#waiters.add(done);
    });
  }
}
