/**
 * Compares the directory that a broker has stored with the registry. A broker only learns what the registry
 * has committed. So what the broker knows and the registry cannot have forgotten by itself shows that the
 * registry is older: a backup was restored, with its audit log.
 *
 * @module
 */
import type { DirectoryCertificate, DirectoryEntry } from '../../core/protocol/feed.ts';
import type { CertificateRecord, DeviceRecord } from '../../enroll/registry/records.ts';

/** What the comparison asks of the registry. */
export interface KnownToRegistry {
  device(id: string): DeviceRecord | undefined;
  isRevoked(serial: string): boolean;
}

/** The states of a certificate in the order in which they follow each other. */
const order: Readonly<Record<CertificateRecord['status'], number>> = {
  active: 0,
  retired: 1,
  revoked: 2,
};

/**
 * What the registry has lost about an identity; undefined: nothing that this entry proves. The broker may be
 * behind: then a row is missing or has newer certificates, which is no loss.
 */
export function lossOfEntry(
  entry: DirectoryEntry,
  registry: KnownToRegistry,
  nowMs: number,
): string | undefined {
  const row = registry.device(entry.id);
  const newest = Math.max(0, ...(row?.certificates ?? []).map(({ notBeforeMs }) => notBeforeMs));
  for (const certificate of entry.certificates) {
    const known = row?.certificates.find((one) => one.fingerprint === certificate.fingerprint);
    const loss =
      known === undefined
        ? lossOfCertificate(certificate, newest, registry, nowMs)
        : order[certificate.status] > order[known.status]
          ? `certificate ${certificate.serial} is ${known.status} in the registry, ${certificate.status} at the broker`
          : undefined;
    if (loss !== undefined) return loss;
  }
  return undefined;
}

/** A deleted identity leaves revocations until its certificates expire; a full row drops its oldest certificate. */
function lossOfCertificate(
  { serial, notBeforeMs, notAfterMs }: DirectoryCertificate,
  newestMs: number,
  registry: KnownToRegistry,
  nowMs: number,
): string | undefined {
  const mayBeDropped = notAfterMs <= nowMs || notBeforeMs <= newestMs || registry.isRevoked(serial);
  return mayBeDropped ? undefined : `the registry does not have certificate ${serial}`;
}
