/**
 * What has to be applied again after the registry was restored from a backup: the difference between what a broker
 * knew before, or what the audit log says, and what the registry has now. Pure.
 *
 * @module
 */
import { isIssuedSince } from '../../certs/authority.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../core/protocol/feed.ts';
import type { ReconcileAction } from '../../core/protocol/reconcile-api.ts';
import { mayHaveRole } from '../../core/protocol/policy-role.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';

export interface RestoreStep {
  readonly device: DeviceId;
  readonly action: ReconcileAction;
  /** The certificates that it is about. */
  readonly certificates: readonly DirectoryCertificate[];
  /** What the broker knew; undefined when the step comes from the audit log, or the identity was deleted. */
  readonly entry?: DirectoryEntry | undefined;
}

export interface RestoreFacts {
  /** When the restored registry began, in ms since 1970. */
  readonly sinceMs: number;
  readonly nowMs: number;
  /** Whether a certificate is on the list of revoked ones. */
  readonly isRevoked: (serial: string) => boolean;
}

const strictness = { pending: 0, active: 0, quarantined: 1, suspended: 2, revoked: 3 } as const;

/**
 * The steps for one identity.
 *
 * @param earlier as a broker knew it; null: it was deleted
 * @param row as the registry has it; undefined: it does not have it
 */
export function restoreSteps(
  device: DeviceId,
  earlier: DirectoryEntry | null,
  row: DeviceRecord | undefined,
  facts: RestoreFacts,
): RestoreStep[] {
  if (earlier === null) {
    const isOld = row !== undefined && row.createdAtMs < facts.sinceMs && !isGranted(row, facts);
    return isOld ? [{ device, action: 'delete', certificates: [] }] : [];
  }
  const status = statusStep(device, earlier, row, facts);
  // A revocation of the identity includes its certificates.
  if (status?.action === 'revoke') return [status];
  return [
    ...(status === undefined ? [] : [status]),
    ...revokedCertificates(device, earlier, row, facts),
    ...adoptions(device, earlier, row, facts),
  ];
}

function statusStep(
  device: DeviceId,
  entry: DirectoryEntry,
  row: DeviceRecord | undefined,
  facts: RestoreFacts,
): RestoreStep | undefined {
  const { status } = entry;
  if (row === undefined || strictness[status] <= strictness[row.status]) return undefined;
  // The restored service has enrolled it again: an operator has decided already.
  if (status === 'active' || isGranted(row, facts)) return undefined;
  const action = ({ revoked: 'revoke', suspended: 'suspend', quarantined: 'quarantine' } as const)[
    status
  ];
  return { device, action: isChangeable(row.role) ? action : 'manual', certificates: [], entry };
}

/** Certificates that were revoked while the identity stayed, or of an identity that is not there any more. */
function revokedCertificates(
  device: DeviceId,
  entry: DirectoryEntry,
  row: DeviceRecord | undefined,
  { nowMs, isRevoked }: RestoreFacts,
): RestoreStep[] {
  const certificates = entry.certificates.filter(
    ({ serial, status, notAfterMs }) =>
      (status === 'revoked' || entry.status === 'revoked') &&
      notAfterMs > nowMs &&
      !isRevoked(serial),
  );
  if (certificates.length === 0) return [];
  const action = row === undefined || isChangeable(row.role) ? 'revoke-certificates' : 'manual';
  return [{ device, action, certificates, entry }];
}

/** Certificates that were issued after the backup. */
function adoptions(
  device: DeviceId,
  entry: DirectoryEntry,
  row: DeviceRecord | undefined,
  { nowMs, isRevoked }: RestoreFacts,
): RestoreStep[] {
  if (entry.status === 'revoked') return [];
  const has = new Set(row?.certificates.map(({ serial }) => serial));
  const certificates = entry.certificates.filter(
    ({ serial, status, notAfterMs }) =>
      status === 'active' && notAfterMs > nowMs && !has.has(serial) && !isRevoked(serial),
  );
  if (certificates.length === 0) return [];
  const isPossible = row === undefined ? mayHaveRole('device', entry.role) : isChangeable(row.role);
  return [{ device, action: isPossible ? 'adopt' : 'manual', certificates, entry }];
}

/** Administrators, brokers and servers get new certificates by their own commands. */
function isChangeable(kind: string): boolean {
  return kind === 'device' || kind === 'service';
}

function isGranted({ certificates }: DeviceRecord, { sinceMs }: RestoreFacts): boolean {
  return certificates.some(
    ({ status, notBeforeMs, adopted }: CertificateRecord) =>
      status === 'active' && adopted !== true && isIssuedSince(notBeforeMs, sinceMs),
  );
}
