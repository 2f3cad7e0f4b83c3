/**
 * The CA of a stopped service, for changes from the command line. The caller has locked the state folder.
 *
 * @module
 */
import { systemClock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { createCaChanges, type CaChanges } from './components.ts';
import { openState, type OpenState, type StateDeps } from './state.ts';

/** The open parts of the service that changes of the CA need. */
export interface StoppedCa extends OpenState {
  readonly changes: CaChanges;
}

/** Brokers are not asked: each applies the change when it connects again. */
const noBrokers = {
  sequence: 0,
  effectOf: () =>
    Promise.resolve({
      ...{ connectionsClosed: 0, brokers: 0, late: 0, lateBrokers: [], absentBrokers: [] },
    }),
};

/** Opens CA, registry and audit log; `lifecycle` closes them. @throws FlotillaError as {@link openState} */
export async function openStoppedCa(
  state: StateFolder,
  config: Config,
  deps: StateDeps,
  lifecycle: Lifecycle,
): Promise<StoppedCa> {
  const open = await openState(state, config, deps, lifecycle);
  const { clock = systemClock, log, env = process.env } = deps;
  const changes = createCaChanges({ ...open, state, config, clock, log, env, feed: noBrokers });
  return { ...open, changes };
}
