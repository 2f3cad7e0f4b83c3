/**
 * Waits for a condition without a fixed sleep.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls a function until its result is neither undefined nor false, and returns the result.
 *
 * @param what named in the error
 * @throws Error after `timeoutMs` (60 s by default)
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadlineMs) throw new Error(`not in ${timeoutMs} ms: ${what}`);
    await delay(5);
  }
}
