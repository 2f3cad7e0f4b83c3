/**
 * A clock that is passed in, so that a test can replace it with one that it advances itself.
 *
 * @module
 */

/** Stops a timer. Has no effect when it has fired. */
export type Cancel = () => void;

export interface Clock {
  /** Wall-clock time, in ms since 1970. It may jump. */
  now(): number;
  /** Monotonic time in ms, for measuring durations. */
  monotonicMs(): number;
  /**
   * Calls once after `ms`. Delays may exceed the 24.8 days of a Node.js timer. The timer does not keep
   * the process alive.
   */
  after(ms: number, call: () => void): Cancel;
}

const timerMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, call) {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      timer =
        leftMs > timerMaxMs
          ? setTimeout(() => arm(leftMs - timerMaxMs), timerMaxMs)
          : setTimeout(call, Math.max(0, leftMs));
      timer.unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
};
