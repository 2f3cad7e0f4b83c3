/**
 * Iteration over many rows that lets other work of the event loop run in between.
 *
 * @module
 */
import { setImmediate as turn } from 'node:timers/promises';

/**
 * How long readers of all rows keep the event loop at a time, in ms. A request with a handshake takes about
 * ten turns of the event loop, and each of them would wait that long.
 */
const turnMs = 1;
/** The time is checked once for so many rows. */
const rowsPerCheck = 32;

/** Yields all rows. The time that the caller spends on the rows counts as well. */
export async function* inTurns<T>(rows: Iterable<T>): AsyncGenerator<T> {
  let count = 0;
  let endMs = performance.now() + turnMs;
  for (const row of rows) {
    yield row;
    if (++count % rowsPerCheck !== 0 || performance.now() < endMs) continue;
    await turn();
    endMs = performance.now() + turnMs;
  }
}
