// A day and a half of maintenance in a moment: time passes only when everybody waits.
import { expect, it } from 'vitest';
import { runAtTimes } from './schedule.ts';
import { TASKS, type TaskEntry } from './tasks.ts';

const START = Date.UTC(2026, 10, 24, 1, 30);
const HOUR_MS = 3_600_000;

class FakeTime {
  nowMs = START;
  #sleepers: { at: number; wake: () => void }[] = [];

  readonly pause = (ms: number): Promise<void> =>
    new Promise((wake) => {
      this.#sleepers.push({ at: this.nowMs + ms, wake });
    });

  /** Wakes one after the other in their order, until `until`. */
  async pass(until: number): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      this.#sleepers.sort((a, b) => a.at - b.at);
      const [next] = this.#sleepers;
      if (next === undefined || next.at > until) return;
      this.#sleepers.shift();
      this.nowMs = next.at;
      next.wake();
    }
  }
}

const clockTime = (ms: number): string => new Date(ms).toISOString().slice(0, 16);

it('runs each task at its times, and one that fails again at its next time', async () => {
  const time = new FakeTime();
  const stop = new AbortController();
  const runs = new Map<string, number[]>();
  const failures: string[] = [];
  // What runs by the second would be 150,000 of the runs, and shows nothing that the others do not.
  const slow = Object.entries<TaskEntry>(TASKS).filter(([, { timing }]) => timing !== null && timing.next(0) >= 60_000);
  expect(Object.keys(TASKS).filter((name) => !slow.some(([other]) => other === name))).toEqual(['memory', 'ladder', 'heartbeats']);
  const loops = slow.flatMap(([name, { timing }]) => timing === null ? [] : [runAtTimes({
    timing, nowMs: () => time.nowMs, pause: time.pause, signal: stop.signal,
    run: () => {
      runs.set(name, [...(runs.get(name) ?? []), time.nowMs]);
      return name === 'streams' && runs.get(name)?.length === 2 ? Promise.reject(new Error('boom')) : Promise.resolve();
    },
    onFailure: (error) => failures.push(`${name}: ${error.message} at ${clockTime(time.nowMs)}`),
  })]);
  await time.pass(START + 36 * HOUR_MS);
  expect(Object.fromEntries([...runs].map(([name, at]) => [name, at.length]))).toEqual({
    trim: 36 * 60 + 1, streams: 36 * 12 + 1, keys: 37, partitions: 37, instruments: 37, vacuum: 2,
  });
  expect(runs.get('trim')?.[0]).toBe(START);
  expect(runs.get('vacuum')?.map(clockTime)).toEqual(['2026-11-24T03:00', '2026-11-25T03:00']);
  expect(failures).toEqual(['streams: boom at 2026-11-24T01:35']);
  expect(clockTime(runs.get('streams')?.[2] ?? 0)).toBe('2026-11-24T01:40');
  stop.abort();
  await time.pass(time.nowMs + HOUR_MS);
  await Promise.all(loops);
});
