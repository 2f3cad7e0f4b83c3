/**
 * The world of a real process.
 *
 * @module
 */
import type { World } from './context.ts';

export function processWorld(): World {
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
      }),
    onReload(call) {
      process.on('SIGHUP', call);
      return () => process.off('SIGHUP', call);
    },
  };
}
