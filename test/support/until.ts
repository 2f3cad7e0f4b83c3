/**
 * Waiting for what happens elsewhere, without a fixed sleep.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until the answer is neither undefined nor false, and gives it.
 *
 * @param what named in the error
 * @throws Error when `timeoutMs` (60 s by default) passed without one
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
