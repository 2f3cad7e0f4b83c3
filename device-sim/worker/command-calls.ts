/**
 * Sends the commands of an observer to devices, each at its scheduled time.
 *
 * @module
 */
import type { Observer } from './observer.ts';
import type { CommandParams } from './protocol.ts';
import type { WorkerContext } from './worker-context.ts';

/** Resolves when the last command was due. */
export function sendCommands(
  work: WorkerContext,
  observer: Observer,
  { commands, qos, bytes, reply, accounted }: CommandParams,
): Promise<void> {
  if (commands.length === 0) return Promise.resolve();
  const body = bodyOf(bytes, reply);
  let left = commands.length;
  return new Promise((resolve) => {
    for (const { device, atMs } of commands) {
      work.at(atMs, () => {
        if (!work.halted) observer.command(device, qos, body, atMs * 1000, accounted);
        if (--left === 0) resolve();
      });
    }
  });
}

function bodyOf(bytes: number, reply: boolean): string {
  const pad = bytes > 12 ? `"pad":"${'x'.repeat(bytes - 12)}"` : '';
  return `{${[...(reply ? ['"reply":1'] : []), ...(pad === '' ? [] : [pad])].join(',')}}`;
}
