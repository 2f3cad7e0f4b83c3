/**
 * The identity of a client whose certificate nobody checked: for session layers that are measured, or
 * tested, without admission.
 *
 * @module
 */
import type { Identity } from '../broker/contracts/identity.ts';
import type { IdentityRights } from '../broker/contracts/identity-rights.ts';
import { parseDeviceId } from '../core/device-id.ts';

/** The rights of such an identity: it never loses any. */
export const uncheckedRights: IdentityRights = {
  of: (id, last) => ({ identity: last ?? uncheckedIdentity(id) }),
};

/** An active device of this id, with all rights of an admitted client. @throws FlotillaError `device-id-invalid` */
export function uncheckedIdentity(id: string): Identity {
  const deviceId = parseDeviceId(id);
  return {
    id: deviceId,
    entry: {
      id: deviceId,
      role: 'device',
      status: 'active',
      group: null,
      attributes: {},
      certificates: [],
    },
    standing: 'full',
    serial: '01',
    fingerprint: `sha256:${'0'.repeat(64)}`,
    notAfterMs: Number.MAX_SAFE_INTEGER,
    remoteAddress: '127.0.0.1',
    tlsVersion: 'TLSv1.3',
    tlsResumed: false,
  };
}
