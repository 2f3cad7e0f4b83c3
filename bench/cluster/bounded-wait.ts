/**
 * Waits with a limit.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';

const checkDefaultMs = 20;
/** For what takes seconds; the machine may be busy. */
const waitMaxMs = 180_000;

/**
 * Asks again and again until the answer is true.
 *
 * @param detail is added to the error
 * @throws Error when it takes too long
 */
export async function waitFor(
  what: string,
  done: () => boolean | Promise<boolean>,
  maxMs = waitMaxMs,
  detail: () => string = () => '',
  checkMs = checkDefaultMs,
): Promise<void> {
  const deadlineMs = performance.now() + maxMs;
  while (!(await done())) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not in time ${detail()}`);
    await pause(checkMs);
  }
}

/** Waits as long as something still happens. @returns whether it was done */
export async function waitWhileActive(
  done: () => boolean,
  progress: () => number,
  silenceMaxMs: number,
): Promise<boolean> {
  let before = progress();
  let deadlineMs = performance.now() + silenceMaxMs;
  while (!done()) {
    if (performance.now() > deadlineMs) return false;
    await pause(500);
    const now = progress();
    if (now !== before) deadlineMs = performance.now() + silenceMaxMs;
    before = now;
  }
  return true;
}
