/**
 * Changes of the CA from the command line: by the service that runs on the state folder, or directly on the files
 * while it is stopped. So an issuer that has ended, which prevents a start, can be replaced.
 *
 * @module
 */
import { systemClock } from '../../core/clock.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import type { StoppedCa } from '../../enroll/bootstrap/stopped-ca.ts';
import { adminClient, type AdminClient, type AdminOptions } from './admin-client.ts';
import { loadStateAndConfig, type Context } from './command-context.ts';
import { lockState, readEnrollRun } from './run-file.ts';

/** Who changes the CA of a stopped service, in the audit log. */
export const localActor = 'system';

/** The files of the CA, and what is needed to change them. */
export interface CaFiles {
  readonly state: StateFolder;
  readonly passphrase: string;
  readonly nowMs: number;
}

/** The state folder of a stopped service. It is locked. */
export interface StoppedState {
  readonly prepare: () => Promise<CaFiles>;
  /** The CA with everything that changes it. @throws FlotillaError as a start of the service */
  readonly open: () => Promise<StoppedCa>;
}

/**
 * Makes a change at the running service, or else on the files.
 *
 * @throws FlotillaError `state-in-use`, `state-missing`, and what the change throws
 */
export async function changeCa<T>(
  options: AdminOptions,
  context: Context,
  online: (client: AdminClient, prepare: () => Promise<CaFiles>) => Promise<T>,
  stopped: (state: StoppedState) => Promise<T>,
): Promise<T> {
  const { env } = context.environment;
  const { state, config } = await loadStateAndConfig(options, context, { log: { level: 'warn' } });
  const { makePassphrase } = await import('../../enroll/ca/passphrase.ts');
  const prepare = async (): Promise<CaFiles> => ({
    state,
    passphrase: await makePassphrase(state, env),
    nowMs: systemClock.now(),
  });
  if (options.url !== undefined || (await readEnrollRun(state)) !== undefined) {
    return online(await adminClient(options, context), prepare);
  }
  const { openStoppedCa } = await import('../../enroll/bootstrap/stopped-ca.ts');
  const { serviceLog } = await import('./serving.ts');
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    await lockState(state, ['enroll'], lifecycle);
    const deps = { clock: systemClock, log: serviceLog(config), env };
    const open = (): Promise<StoppedCa> => openStoppedCa(state, config, deps, lifecycle);
    const result = await stopped({ prepare, open });
    await lifecycle.close();
    return result;
  });
}
