// Time as a dependency. Wall time is for data, monotonic time for durations; a stepping wall clock breaks neither.
export interface Clock {
  /** Wall time, integer microseconds since the epoch. */
  nowMicros(): number;
  /** Milliseconds that never go back, for durations and deadlines. */
  monotonicMs(): number;
}
