/**
 * Time, passed in: what a test replaces with a clock that it moves by hand.
 *
 * @module
 */

/** Stops a timer; harmless when it has fired. */
export type Cancel = () => void;

export interface Clock {
  /** Wall-clock time in ms since 1970. May jump. */
  now(): number;
  /** Time in ms that never goes back, for measuring. */
  monotonicMs(): number;
  /**
   * Calls once after `ms`. Delays beyond the 24.8 days that a timer of the platform holds are kept
   * all the same. The timer does not keep the process alive.
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
