/**
 * Identities for tests without connections.
 *
 * @module
 */
import type { Identity } from '../../broker/contracts/identity.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { dayMs } from '../../core/config/duration.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';

/** An admitted identity with one valid certificate. */
export function identityOf(
  id: string,
  change: Partial<Pick<Identity, 'standing' | 'remoteAddress' | 'serial' | 'notAfterMs'>> &
    Partial<Pick<DirectoryEntry, 'role' | 'group' | 'attributes' | 'status'>> = {},
): Identity {
  const { standing = 'full', remoteAddress = '127.0.0.1', serial = '0a', ...rest } = change;
  const { notAfterMs = Date.now() + dayMs, ...entry } = rest;
  const fingerprint = `sha256:${'0'.repeat(64)}`;
  return {
    id: parseDeviceId(id),
    entry: {
      id: parseDeviceId(id),
      role: 'device',
      status: 'active',
      group: null,
      attributes: {},
      certificates: [{ serial, fingerprint, notBeforeMs: 0, notAfterMs, status: 'active' }],
      ...entry,
    },
    standing,
    serial,
    fingerprint,
    notAfterMs,
    remoteAddress,
    tlsVersion: 'TLSv1.3',
    tlsResumed: false,
  };
}
