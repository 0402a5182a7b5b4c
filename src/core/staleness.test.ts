import { expect, it } from 'vitest';
import { Pulse, PULSE_LIMITS as LIMITS } from './staleness.ts';

function beating(everyMs: number, times: number): Pulse {
  const pulse = new Pulse(0);
  for (let i = 1; i <= times; i++) pulse.seen(i * everyMs);
  return pulse;
}

it('gives a lively feed the minimum and a slow one its own rhythm', () => {
  expect(beating(200, 50).limitMs(LIMITS)).toBe(30_000);
  expect(beating(60_000, 50).limitMs(LIMITS)).toBe(1_200_000);
  expect(new Pulse(0).limitMs(LIMITS)).toBe(30_000);
});

it('is overdue from its limit on', () => {
  const pulse = beating(10_000, 10);
  expect(pulse.overdue(100_000 + 199_999, LIMITS)).toBe(false);
  expect(pulse.overdue(100_000 + 200_000, LIMITS)).toBe(true);
});

it('follows the median, not a single long pause or a burst', () => {
  const pulse = beating(10_000, 20);
  pulse.seen(900_000);
  pulse.seen(900_000);
  expect(pulse.limitMs(LIMITS)).toBe(200_000);
});

it('asks about the same silence less and less often, and anew after the next message', () => {
  const pulse = beating(1000, 10);
  const asked: number[] = [];
  for (let now = 10_000; now < 2_000_000; now += 1000) {
    if (!pulse.overdue(now, LIMITS)) continue;
    asked.push((now - 10_000) / 1000);
    pulse.defer(now, LIMITS);
  }
  expect(asked).toEqual([30, 60, 120, 240, 480, 960, 1560]);
  pulse.seen(2_000_000);
  expect(pulse.overdue(2_030_000, LIMITS)).toBe(true);
});

it('does not count the time before a reconnect', () => {
  const pulse = beating(1000, 40);
  pulse.restart(500_000);
  expect(pulse.overdue(520_000, LIMITS)).toBe(false);
  expect(pulse.overdue(530_000, LIMITS)).toBe(true);
  pulse.seen(530_000);
  expect(pulse.limitMs(LIMITS)).toBe(30_000);
});
