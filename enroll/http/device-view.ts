/**
 * The representation of an identity in the API.
 *
 * @module
 */
import type { DeviceAnswer } from '../../core/protocol/enrollment-api.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { PresenceTable } from '../devices/presence-table.ts';
import { certificateStatus } from '../registry/certificate-status.ts';
import { assignedRole } from '../registry/assigned-role.ts';
import type { DeviceRecord } from '../registry/records.ts';

export interface DeviceViewDeps {
  readonly ca: Pick<CertificateAuthority, 'isWithdrawn'>;
  readonly presence: PresenceTable;
}

/** An active certificate of an issuer that was withdrawn is shown as `withdrawn`: no broker accepts it. */
export function deviceJson(
  record: DeviceRecord,
  { ca, presence }: DeviceViewDeps,
  nowMs: number,
): DeviceAnswer {
  const { id, status, group, attributes } = record;
  const lastSeenAtMs = presence.lastSeenAtMs(id);
  const denied = presence.deniedOf(id);
  return {
    id,
    kind: record.role,
    role: assignedRole(record),
    status,
    group,
    attributes: { ...attributes },
    certificates: record.certificates.map((certificate) => ({
      serial: certificate.serial,
      notBefore: iso(certificate.notBeforeMs),
      notAfter: iso(certificate.notAfterMs),
      status:
        certificate.status === 'active' && ca.isWithdrawn(certificate.issuer)
          ? 'withdrawn'
          : certificateStatus(certificate, nowMs),
      fingerprint: certificate.fingerprint,
      ...(certificate.names === undefined ? {} : { names: [...certificate.names] }),
      ...(certificate.seenAtMs === undefined ? {} : { seenAt: iso(certificate.seenAtMs) }),
    })),
    connected: presence.isConnected(id),
    brokers: [...presence.brokersOf(id)],
    createdAt: iso(record.createdAtMs),
    lastSeenAt: lastSeenAtMs === null ? null : iso(lastSeenAtMs),
    ...(denied.count === 0
      ? {}
      : {
          denied: {
            count: denied.count,
            last: denied.last.map(({ atMs, ...rest }) => ({ at: iso(atMs), ...rest })),
          },
        }),
  };
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
