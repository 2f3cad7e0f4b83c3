/**
 * The environment of the running process.
 *
 * @module
 */
import { closeSync, openSync } from 'node:fs';
import type { ProcessEnvironment } from './command-context.ts';

export function processEnvironment(): ProcessEnvironment {
  const hadTerminal = hasTerminal();
  // SIGHUP has two meanings: the terminal was closed, or a service should reload its files.
  const terminalIsGone = (): boolean => hadTerminal && !hasTerminal();
  let reloads = 0;
  for (const stream of [process.stdout, process.stderr]) ignoreFailures(stream);
  return {
    streams: { stdout: process.stdout, stderr: process.stderr },
    env: process.env,
    stopAsked: () =>
      new Promise((resolve) => {
        let asked = false;
        const ask = (signal: NodeJS.Signals): void => {
          // A second signal ends the process immediately.
          if (asked) process.exit(130);
          asked = true;
          resolve(signal);
        };
        process.on('SIGINT', ask);
        process.on('SIGTERM', ask);
        process.on('SIGHUP', (signal) => {
          // Kernel and shell may both report a closed terminal: that is not a second request.
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

/**
 * Output that cannot be written (a closed terminal, `head`, a log collector that ended, a full disk) is
 * dropped: it must not decide over a service, nor keep the process from ending in order.
 */
function ignoreFailures(stream: NodeJS.WriteStream): void {
  stream.on('error', () => undefined);
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
