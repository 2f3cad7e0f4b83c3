/**
 * The simulated devices of `flotilla up --devices N`, with one line of progress per second.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { progressLine } from '../../device-sim/view/progress.ts';
import { startFleet } from '../../device-sim/run.ts';
import { reachable } from './host-port.ts';
import type { Output } from './output.ts';

export interface DemoFleet {
  readonly devices: number;
  readonly state: StateFolder;
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly enrollUrl: string;
  readonly log: Logger;
  readonly out: Output;
}

/** Starts the simulated devices; the returned function stops them. */
export async function runDemoFleet(fleet: DemoFleet): Promise<() => Promise<void>> {
  const { state, log, out } = fleet;
  const admin = identityFiles(state.admin);
  const [cert, key, ca] = await Promise.all([
    readFile(admin.chain, 'utf8'),
    readFile(admin.key, 'utf8'),
    readFile(admin.ca, 'utf8'),
  ]);
  const stop = new AbortController();
  const running = startFleet(
    { devices: fleet.devices, ratePerSecond: 1 },
    {
      target: {
        enrollUrl: fleet.enrollUrl,
        mqtts: { host: reachable(fleet.mqtts.host), port: fleet.mqtts.port },
        ca,
        admin: { cert, key },
        keepFolder: state.sim,
      },
      log,
      clock: systemClock,
      progress: (progress) => out.streams.stderr.write(`${progressLine(progress)}\n`),
      signal: stop.signal,
    },
  ).catch((error: unknown) => {
    out.warn(`the simulated devices stopped: ${messageOf(error)}`);
  });
  return async () => {
    stop.abort();
    await running;
  };
}
