/**
 * A clock that stands still until a test moves it.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';

export interface FakeClock extends Clock {
  /**
   * Moves both times forward by `ms` and fires, in order of their time, all timers that fall due on
   * the way, those included that a fired timer sets. What a timer throws comes out of here.
   */
  advance(ms: number): void;
  /** Moves the wall clock only, forward or back, as an operator or NTP does; no timer fires. */
  jump(ms: number): void;
  /** How many timers wait: 0 after everything was given back. */
  readonly pending: number;
}

/** When a fake clock starts unless told: 2030-01-01T00:00:00Z, so that nobody relies on today. */
export const fakeStartMs = Date.UTC(2030, 0, 1);

/** Makes a clock that stands at `startMs`. */
export function fakeClock(startMs = fakeStartMs): FakeClock {
  let jumpedMs = 0;
  let elapsedMs = 0;
  let made = 0;
  const timers = new Map<number, { dueMs: number; call: () => void }>();

  const nextDue = (untilMs: number): number | undefined => {
    let found: number | undefined;
    let foundMs = untilMs;
    for (const [id, { dueMs }] of timers) {
      // Ids grow, and a map keeps their order: equal times fire in the order of setting.
      if (found === undefined ? dueMs <= foundMs : dueMs < foundMs) {
        found = id;
        foundMs = dueMs;
      }
    }
    return found;
  };

  return {
    now: () => startMs + jumpedMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    after(ms, call) {
      const id = made++;
      timers.set(id, { dueMs: elapsedMs + Math.max(0, ms), call });
      return () => void timers.delete(id);
    },
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError('time goes forward only; use jump for the wall clock');
      const untilMs = elapsedMs + ms;
      for (let id = nextDue(untilMs); id !== undefined; id = nextDue(untilMs)) {
        const timer = timers.get(id)!;
        timers.delete(id);
        elapsedMs = Math.max(elapsedMs, timer.dueMs);
        timer.call();
      }
      elapsedMs = untilMs;
    },
    jump(ms) {
      jumpedMs += ms;
    },
    get pending() {
      return timers.size;
    },
  };
}
