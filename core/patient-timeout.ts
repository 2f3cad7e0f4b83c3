/**
 * Timeouts that do not judge a peer by a pause of this process (a suspended virtual machine, SIGSTOP, a
 * long garbage collection): what the peer sent meanwhile is read first.
 *
 * @module
 */
import type { Cancel, Clock } from './clock.ts';

/** A timer that fires this late means that the process was paused, in ms. */
export const pauseMinMs = 1000;

/**
 * Calls after `ms`, as `clock.after`, but never before the input that is pending when the timer fires was
 * read. After a pause of the process the peer gets the time of the pause again, at most `ms`.
 */
export function patientTimeout(
  clock: Pick<Clock, 'after' | 'monotonicMs'>,
  ms: number,
  call: () => void,
): Cancel {
  let cancel: Cancel;
  const wait = (leftMs: number): void => {
    const dueMs = clock.monotonicMs() + leftMs;
    cancel = clock.after(leftMs, () => {
      const lateMs = clock.monotonicMs() - dueMs;
      if (lateMs >= pauseMinMs) wait(Math.min(lateMs, ms));
      // Timers fire before sockets are read: the next one fires after that.
      else cancel = clock.after(0, call);
    });
  };
  wait(ms);
  return () => cancel();
}
