import { afterEach, expect, it, vi } from 'vitest';
import { systemClock } from './clock.ts';

afterEach(() => {
  vi.useRealTimers();
});

it('tells wall time in whole microseconds and follows a clock that was stepped', () => {
  vi.useFakeTimers({ now: 1_790_000_000_000, toFake: ['Date', 'performance'] });
  const clock = systemClock();
  expect(clock.nowMicros()).toBe(1_790_000_000_000_000);
  vi.advanceTimersByTime(250);
  expect(clock.nowMicros()).toBe(1_790_000_000_250_000);
  vi.setSystemTime(1_790_003_600_000); // an hour ahead, while the monotonic clock stands
  vi.advanceTimersByTime(2);
  expect(Math.abs(clock.nowMicros() - 1_790_003_600_002_000)).toBeLessThanOrEqual(5000);
  const before = clock.monotonicMs();
  vi.setSystemTime(1_790_000_000_000); // and back again
  vi.advanceTimersByTime(2);
  expect(clock.monotonicMs()).toBeGreaterThan(before);
  expect(Math.abs(clock.nowMicros() - 1_790_000_000_002_000)).toBeLessThanOrEqual(5000);
});
