/**
 * The identities of the brokers of a cluster, as `flotilla service create --role broker` makes them.
 *
 * @module
 */
import { plainNames } from '../../certs/subject-names.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { holdsIdentity } from '../../core/identity-folder.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { brokerNames } from '../../enroll/ca/server-names.ts';
import { adminClient } from '../lib/admin-client.ts';
import type { Context, StateOptions } from '../lib/command-context.ts';
import { enrollService } from '../lib/service-identity.ts';
import type { NodeProgram } from './cluster-node.ts';

/** Creates the identity of a broker, unless it has one. The enrollment service must run. */
export async function ensureBrokerIdentity(
  { name, folder }: NodeProgram,
  options: StateOptions,
  context: Context,
): Promise<void> {
  const { identity } = stateFolder(folder).broker;
  if (await holdsIdentity(identity)) return;
  const client = await adminClient({ json: true, state: options.state }, context);
  await enrollService(client, identity, {
    name: parseDeviceId(name),
    role: 'broker',
    names: plainNames(brokerNames(client.config)),
  });
}
