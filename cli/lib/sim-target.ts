/**
 * The target of a simulation, from the options of the command line.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { stateFolder } from '../../core/state-folder.ts';
import type { SimTarget } from '../../device-sim/fleet/target.ts';
import { adminClient, type AdminOptions } from './admin-client.ts';
import type { Context } from './command-context.ts';
import { hostPort, reachable } from './host-port.ts';
import { readBrokerRun } from './run-file.ts';

export interface TargetOptions extends AdminOptions {
  readonly mqtts?: string;
  readonly certs?: string;
  readonly ca?: string;
}

/**
 * Returns a Flotilla that is found through the state folder, or any broker with certificates from a folder.
 *
 * @param planned the brokers of the plan, used when no option names one
 * @throws FlotillaError `usage`, `broker-not-running`, `service-not-running`, `state-missing`
 */
export async function simTarget(
  options: TargetOptions,
  context: Context,
  planned: readonly string[] = [],
): Promise<SimTarget> {
  const [named, ...further] = (options.mqtts?.split(',') ?? planned).map((text) =>
    hostPort(text.trim(), 8883),
  );
  const more = further.length === 0 ? {} : { moreMqtts: further };
  if (options.certs !== undefined) {
    if (named === undefined) throw new FlotillaError('usage', { detail: '--certs needs --mqtts' });
    const ca = options.ca === undefined ? {} : { ca: await readCa(options.ca) };
    return { mqtts: named, ...more, certificates: options.certs, ...ca };
  }
  const state = stateFolder(options.state);
  const client = await adminClient(options, context);
  const mqtts = named ?? (await readBrokerRun(state))?.mqtts;
  if (mqtts === undefined) throw new FlotillaError('broker-not-running', { detail: options.state });
  return {
    enrollUrl: client.url,
    mqtts: { host: reachable(mqtts.host), port: mqtts.port },
    ...more,
    ca: client.ca,
    admin: { cert: client.cert, key: client.key },
    keepFolder: state.sim,
  };
}

async function readCa(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FlotillaError('sim-certificate-missing', { detail: path, cause: error });
  }
}
