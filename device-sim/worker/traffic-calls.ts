/**
 * Publishes the streams of devices in one phase at their scheduled times.
 *
 * @module
 */
import type { SimDevice } from '../device/sim-device.ts';
import { streamsOf, type StreamWindow } from '../traffic/stream.ts';
import type { WorkerContext } from './worker-context.ts';

/** Resolves when all scheduled messages were sent, but not before the end of the window. */
export function publishStreams(
  work: WorkerContext,
  devices: readonly SimDevice[],
  window: StreamWindow,
): Promise<void> {
  const { meter, time, clock } = work;
  return new Promise((resolve) => {
    let open = 1;
    const finish = (): void => {
      if (--open === 0) resolve();
    };
    for (const device of devices) {
      const streams = streamsOf(device.author, device.group, window);
      for (const { topic, qos, retain, schedule, source } of streams) {
        const step = (intendedMs: number): void => {
          if (!work.halted) {
            const epochMs = clock.toEpochMs(intendedMs);
            meter.time('scheduleError', (performance.now() - intendedMs) * 1000);
            device.send(topic, qos, retain, source.body(device.sent, epochMs), epochMs * 1000);
          }
          next();
        };
        const next = (): void => {
          const atMs = work.halted ? undefined : schedule.next();
          if (atMs === undefined) finish();
          else time.at(atMs, step);
        };
        open++;
        next();
      }
    }
    // The phase lasts until its end even when the last message was due earlier.
    time.at(window.endMs, finish);
  });
}
