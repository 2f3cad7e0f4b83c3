/**
 * Creates the identity of a service, as an administrator.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { AdminClient } from './admin-client.ts';
import { enrollInto, type EnrolledDevice } from './enroll-device.ts';

/** What the request says beside the key. */
export interface ServiceIdentity {
  readonly name: DeviceId;
  readonly role: string;
  /** Host names and addresses that clients connect to. */
  readonly names: readonly string[];
  readonly policyRole?: string | undefined;
}

/** Writes key and certificate of a new service into a folder. @throws FlotillaError as `enrollInto` */
export function enrollService(
  client: AdminClient,
  folder: string,
  { name, role, names, policyRole }: ServiceIdentity,
): Promise<EnrolledDevice> {
  return enrollInto({
    folder,
    id: name,
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
      body: { name, role, ...(policyRole === undefined ? {} : { policyRole }), csr, names },
    }),
  });
}
