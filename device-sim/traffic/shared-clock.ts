/**
 * The time that all workers of a run agree on: ms since 1970 by the controller's clock. On the
 * controller's own host that is the clock of the machine; an agent on another host learns by how
 * much its own is off.
 *
 * @module
 */

let shiftMs = 0;

/** What has to be added to this process's clock to get the controller's; 0 unless told. */
export function setClockShift(ms: number): void {
  shiftMs = ms;
}

/** Now, in ms since 1970, from a clock that does not go back while the process lives. */
export function epochNow(): number {
  return toEpochMs(performance.now());
}

/** Now in µs, for envelopes. */
export function nowUs(): number {
  return epochNow() * 1000;
}

/** A shared time as `performance.now()` of this process. */
export function toLocalMs(epochMs: number): number {
  return epochMs - performance.timeOrigin - shiftMs;
}

/** A time of `performance.now()` as the shared one. */
export function toEpochMs(localMs: number): number {
  return localMs + performance.timeOrigin + shiftMs;
}
