/**
 * Measures the CPU time of each turn of the event loop. CPU time and not wall time, so that other processes
 * on the machine do not count; garbage collection in this thread does.
 *
 * @module
 */

/** The thread's CPU time in ms. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** The longest turn, in ms of CPU time, from the call of `work` until `isDone` and some turns more. */
export async function longestTurnMs(work: () => void, isDone: () => boolean): Promise<number> {
  let longestMs = 0;
  await settle(5);
  let lastMs = cpuMs();
  const tick = (): void => {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  work();
  const deadlineMs = performance.now() + deadlineAfterMs;
  for (let quiet = 0; quiet < quietTurns; quiet = isDone() ? quiet + 1 : 0) {
    await settle(1);
    tick();
    if (performance.now() > deadlineMs) throw new Error('the work did not end');
  }
  return longestMs;
}

const quietTurns = 50;
const deadlineAfterMs = 120_000;

/** Lets the event loop turn. */
export async function settle(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
