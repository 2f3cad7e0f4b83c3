/**
 * Long work in turns of the event loop, so that other work waits for a few ms only.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long one turn of the work takes at most, in ms, and one step more. */
export const turnMaxMs = 5;

/**
 * Calls `step` for each item. The first turn runs before this function returns, so that little work is
 * complete then. The items may change between turns, as far as their iterator allows.
 *
 * @param step returns false to stop
 */
export async function forEachInTurns<T>(
  items: Iterable<T>,
  step: (item: T) => boolean | undefined,
): Promise<void> {
  let endMs = performance.now() + turnMaxMs;
  for (const item of items) {
    if (step(item) === false) return;
    if (performance.now() < endMs) continue;
    await nextTurn();
    endMs = performance.now() + turnMaxMs;
  }
}
