/**
 * The simulated devices beside `flotilla up --devices N`: a fleet to look at.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { startFleet } from '../../device-sim/run.ts';
import { reachable } from './host-port.ts';
import type { Output } from './output.ts';
import { hasLiveScreen, progressView } from './progress-view.ts';
import type { TerminalLog } from './terminal-log.ts';

export interface DemoFleet {
  readonly devices: number;
  readonly state: StateFolder;
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly enrollUrl: string;
  readonly log: Logger;
  readonly out: Output;
  /** Decides about color. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where the log lines wait while the live screen is open. */
  readonly terminalLog: TerminalLog;
  /** Stays below the live screen. */
  readonly footer: readonly string[];
}

export interface RunningDemoFleet {
  /** Closes the live screen; the fleet goes on. */
  closeView(): void;
  stop(): Promise<void>;
}

/** Starts the fleet, with a live screen on a terminal and a line a second elsewhere. */
export async function runDemoFleet(fleet: DemoFleet): Promise<RunningDemoFleet> {
  const { state, log, out, terminalLog } = fleet;
  const admin = identityFiles(state.admin);
  const [cert, key, ca] = await Promise.all([
    readFile(admin.chain, 'utf8'),
    readFile(admin.key, 'utf8'),
    readFile(admin.ca, 'utf8'),
  ]);
  const stop = new AbortController();
  const view = progressView(out.streams.stderr, fleet.env, () => [
    ...(terminalLog.newest === undefined ? [] : [`log: ${terminalLog.newest}`]),
    ...fleet.footer,
  ]);
  if (hasLiveScreen(out.streams.stderr)) terminalLog.hold();
  let isOpen = true;
  const closeView = (): void => {
    isOpen = false;
    view.close();
    terminalLog.release();
  };
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
      progress: (progress) => {
        if (isOpen) view.update(progress);
      },
      signal: stop.signal,
    },
  ).catch((error: unknown) => {
    closeView();
    out.warn(`the simulated devices stopped: ${messageOf(error)}`);
  });
  return {
    closeView,
    async stop() {
      closeView();
      stop.abort();
      await running;
    },
  };
}
