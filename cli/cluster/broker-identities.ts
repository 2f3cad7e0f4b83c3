/**
 * The identities of the brokers of a cluster, as `flotilla service create --role broker` makes them.
 *
 * @module
 */
import { join } from 'node:path';
import { plainNames } from '../../certs/subject-names.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { holdsIdentity } from '../../core/identity-folder.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { brokerNames } from '../../enroll/ca/server-names.ts';
import { adminClient } from '../lib/admin-client.ts';
import type { Context, StateOptions } from '../lib/command-context.ts';
import { enrollInto } from '../lib/enroll-device.ts';
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
  await enrollInto({
    folder: join(identity),
    id: parseDeviceId(name),
    keyType: 'p256',
    url: client.url,
    fingerprint: client.rootFingerprint(),
    mqtts: undefined,
    waitMs: 0,
    waiting: () => undefined,
    call: (ca, csr) => ({
      method: 'POST',
      url: new URL('/v1/services', client.url).href,
      ca,
      cert: client.cert,
      key: client.key,
      body: { name, role: 'broker', csr, names: plainNames(brokerNames(client.config)) },
    }),
  });
}
