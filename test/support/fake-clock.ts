/**
 * A clock that advances only when a test advances it.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';

export interface FakeClock extends Clock {
  /**
   * Advances both times by `ms` and fires all timers that become due, in the order of their time,
   * including timers that are set by a fired timer. Throws what a timer throws.
   */
  advance(ms: number): void;
  /** Pauses the process, as SIGSTOP does: both times advance, and timers fire late, at the next advance. */
  pause(ms: number): void;
  /** Changes only the wall-clock time, in either direction, as an operator or NTP does; fires no timer. */
  jump(ms: number): void;
  /** The number of pending timers: 0 after everything was released. */
  readonly pending: number;
}

/** The default start of a fake clock: 2030-01-01T00:00:00Z, so that no test depends on today's date. */
export const fakeStartMs = Date.UTC(2030, 0, 1);

/** Creates a clock that starts at `startMs`. */
export function fakeClock(startMs = fakeStartMs): FakeClock {
  let jumpedMs = 0;
  let elapsedMs = 0;
  let made = 0;
  const timers = new Map<number, { dueMs: number; call: () => void }>();

  const nextDue = (untilMs: number): number | undefined => {
    let found: number | undefined;
    let foundMs = untilMs;
    for (const [id, { dueMs }] of timers) {
      // Ids increase and a map keeps their order: timers with equal times fire in the order they were set.
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
    pause(ms) {
      elapsedMs += ms;
    },
    jump(ms) {
      jumpedMs += ms;
    },
    get pending() {
      return timers.size;
    },
  };
}
