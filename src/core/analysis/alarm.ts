// Turns a measure into single events: hysteresis, so that what wavers around its threshold is one alarm, and a cool-down, so that the
// echoes of a move are no new ones.

/** What an alarm needs to know of its rule. */
export interface AlarmLimits {
  /** Armed again when the measure has fallen below this part of the threshold (0 to 0.99). */
  readonly clear: number;
  /** Seconds from one event to the next at least. */
  readonly cool_down_s: number;
}

export class Alarm {
  #state: 'armed' | 'raised' = 'armed';
  #lastTs = -Infinity;

  /**
   * `measure` is relative to the threshold: 1 is on it. True when this is an event. What rises again during the cool-down belongs to the
   * event before, however long it lasts.
   */
  update(ts: number, measure: number, limits: AlarmLimits): boolean {
    if (this.#state === 'raised') {
      if (measure < limits.clear) this.#state = 'armed';
      return false;
    }
    if (!(measure >= 1)) return false;
    this.#state = 'raised';
    if (ts - this.#lastTs < limits.cool_down_s * 1e6) return false;
    this.#lastTs = ts;
    return true;
  }
}
