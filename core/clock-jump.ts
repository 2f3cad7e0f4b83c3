/**
 * Notices that the wall clock was set, in either direction, or that the machine was suspended: timers
 * count monotonic time and would not follow.
 *
 * @module
 */
import type { Cancel, Clock } from './clock.ts';

const checkEveryMs = 30_000;
/** A smaller difference between two checks is the usual correction of a clock's drift. */
const jumpMinMs = 5000;

/**
 * Calls `jumped` within half a minute of each jump of the wall clock.
 *
 * @param jumped receives by how many ms the clock was set; negative: backward
 */
export function watchClockJumps(clock: Clock, jumped: (jumpMs: number) => void): Cancel {
  let offsetMs = clock.now() - clock.monotonicMs();
  let cancel: Cancel = () => undefined;
  const plan = (): void => {
    cancel = clock.after(checkEveryMs, () => {
      plan();
      const before = offsetMs;
      offsetMs = clock.now() - clock.monotonicMs();
      if (Math.abs(offsetMs - before) >= jumpMinMs) jumped(offsetMs - before);
    });
  };
  plan();
  return () => cancel();
}
