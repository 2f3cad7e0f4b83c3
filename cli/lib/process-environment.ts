/**
 * The environment of a real process.
 *
 * @module
 */
import { closeSync, openSync } from 'node:fs';
import type { ProcessEnvironment } from './command-context.ts';

export function processEnvironment(): ProcessEnvironment {
  const hadTerminal = hasTerminal();
  // SIGHUP means two things: a terminal that closed, and "read your files again" to a service.
  const terminalIsGone = (): boolean => hadTerminal && !hasTerminal();
  let reloads = 0;
  if (hadTerminal) for (const stream of [process.stdout, process.stderr]) outlive(stream);
  return {
    streams: { stdout: process.stdout, stderr: process.stderr },
    env: process.env,
    stopAsked: () =>
      new Promise((resolve) => {
        let asked = false;
        const ask = (signal: NodeJS.Signals): void => {
          // The second one means it: no more waiting.
          if (asked) process.exit(130);
          asked = true;
          resolve(signal);
        };
        process.on('SIGINT', ask);
        process.on('SIGTERM', ask);
        process.on('SIGHUP', (signal) => {
          // Kernel and shell may both tell that a terminal closed: that is no second wish.
          if (!asked && (reloads === 0 || terminalIsGone())) ask(signal);
        });
      }),
    onReload(call) {
      const reload = (): void => {
        if (!terminalIsGone()) call();
      };
      reloads++;
      process.on('SIGHUP', reload);
      return () => {
        reloads--;
        process.off('SIGHUP', reload);
      };
    },
  };
}

/** Words into a terminal that closed go nowhere; they must not keep the process from ending in order. */
function outlive(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EIO') throw error;
  });
}

/** Whether this process has a terminal that is still open. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
