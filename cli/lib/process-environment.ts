/**
 * The environment of the running process.
 *
 * @module
 */
import { closeSync, openSync } from 'node:fs';
import { ServiceOutput } from '../../core/service-output.ts';
import type { ProcessEnvironment } from './command-context.ts';

/** @param args of the command line: a service must never wait for a reader of its output */
export function processEnvironment(args: readonly string[] = []): ProcessEnvironment {
  if (isService(args)) neverWait();
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
        let asked = 0;
        const ask = (signal: NodeJS.Signals): void => {
          asked++;
          // A second signal ends the process immediately.
          if (asked > (signal === 'SIGINT' && isSentTwice() ? 2 : 1)) process.exit(130);
          resolve(signal);
        };
        process.on('SIGINT', ask);
        process.on('SIGTERM', ask);
        process.on('SIGHUP', (signal) => {
          // Kernel and shell may both report a closed terminal: that is not a second request.
          if (asked === 0 && (reloads === 0 || terminalIsGone())) ask(signal);
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
 * Whether each Ctrl-C arrives twice: a terminal sends it to all its processes, and npm (`npm start`, `npx`) sends it to
 * its child once more.
 */
function isSentTwice(): boolean {
  return process.stdin.isTTY && process.env['npm_command'] !== undefined;
}

const services = new Set([
  'up',
  'enroll serve',
  'broker serve',
  'device agent',
  'sim agent',
  'console',
]);

/** Whether a command runs until it is stopped, and does something for others. */
function isService([command = '', sub = '']: readonly string[]): boolean {
  return services.has(command) || services.has(`${command} ${sub}`);
}

/** The streams keep what commands ask of them (columns, isTTY), but each write goes past their buffers. */
function neverWait(): void {
  for (const [fd, stream] of [
    [1, process.stdout],
    [2, process.stderr],
  ] as const) {
    const output = new ServiceOutput(fd);
    stream.write = (
      chunk: string | Uint8Array,
      second?: BufferEncoding | (() => void),
      third?: () => void,
    ): boolean => {
      output.write(chunk);
      const done = typeof second === 'function' ? second : third;
      if (done !== undefined) queueMicrotask(done);
      return true;
    };
    process.once('exit', () => output.flush());
  }
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
