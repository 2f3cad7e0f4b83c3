/**
 * Certificates that a restored registry does not know: revokes them, or accepts them.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../core/protocol/feed.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { newIdentity, withCertificate } from '../registry/device-rows.ts';
import { withRole } from '../registry/assigned-role.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import { retryOnConflict, type Put, type Registry, type Stored } from '../registry/registry.ts';
import type { RestoreStep } from './restore-plan.ts';

export interface RestoredCertificatesDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly registry: Registry;
}

/** Revokes certificates, whether the registry has them or not. @throws FlotillaError `registry-unavailable` */
export function revokeRestored(
  { device, certificates }: RestoreStep,
  actor: string,
  { ca, clock, registry }: RestoredCertificatesDeps,
): Promise<void> {
  return retryOnConflict(async () => {
    const row = await registry.get('devices', device);
    const serials = new Set(certificates.map(({ serial }) => serial));
    const puts: Put[] = [];
    if (row !== undefined) {
      const changed = row.certificates.map((one) =>
        serials.has(one.serial) ? ({ ...one, status: 'revoked' } as const) : one,
      );
      puts.push(putOf(row, { certificates: changed }));
    }
    for (const one of certificates) {
      const known = await registry.get('revocations', one.serial);
      const own = row?.certificates.find(({ serial }) => serial === one.serial);
      const { serial, notAfterMs } = one;
      const record = {
        serial,
        device,
        issuer: own?.issuer ?? issuerOf(one, ca),
        keyFingerprint: own?.keyFingerprint ?? unknownKey(serial),
        atMs: clock.now(),
        reason: 'unspecified',
        notAfterMs,
      } as const;
      puts.push({ table: 'revocations', record, expected: known?.version ?? 0 });
    }
    const detail = { reason: 'unspecified', serials: [...serials].join(' '), cause: 'restore' };
    await registry.commit({ puts, events: [{ action: 'device-revoked', actor, device, detail }] });
  });
}

/**
 * Accepts certificates that were issued after the backup. The broker knows their serial numbers and fingerprints, but
 * not their keys: such a certificate connects and renews over HTTPS, but not through a broker with a new key.
 *
 * @throws FlotillaError `registry-unavailable`, `registry-conflict` when another identity has a certificate with the
 *   serial number
 */
export function adoptRestored(
  { device, entry, certificates }: RestoreStep,
  actor: string,
  { ca, clock, config, registry }: RestoredCertificatesDeps,
): Promise<void> {
  return retryOnConflict(async () => {
    if (entry === undefined) return;
    const before = await registry.get('devices', device);
    const nowMs = clock.now();
    const { version: expected, ...row } = before ?? { ...newRow(device, entry, nowMs), version: 0 };
    const max = config.limits.enroll.certificatesPerIdentityMax;
    const all = certificates.reduce<readonly CertificateRecord[]>(
      (list, one) =>
        withCertificate(list, adoptedRow(one, issuerOf(one, ca), nowMs), { max, nowMs }),
      row.certificates,
    );
    const status = row.status === 'pending' ? 'active' : row.status;
    // The next certificate is issued by the profile of the newest one.
    const { profile = row.profile } = entry;
    const serials = certificates.map(({ serial }) => serial).join(' ');
    await registry.commit({
      puts: [
        {
          table: 'devices',
          record: { ...row, status, profile, certificates: all },
          expected,
        },
      ],
      events: [{ action: 'certificate-adopted', actor, device, detail: { serials } }],
    });
  });
}

function newRow(device: DeviceId, entry: DirectoryEntry, nowMs: number): DeviceRecord {
  const { status, group, attributes, role, createdAtMs = nowMs } = entry;
  const row = newIdentity({ id: device, role: 'device', createdAtMs });
  const held = status === 'active' ? {} : { heldSinceMs: nowMs };
  return withRole({ ...row, ...held, status, group, attributes: { ...attributes } }, role);
}

/** What a broker says counts only if it is an issuer of this CA. */
function issuerOf({ issuer }: DirectoryCertificate, ca: CertificateAuthority): string {
  return issuer !== undefined && ca.issuer(issuer) !== undefined
    ? issuer
    : ca.current.certificate.fingerprint;
}

function adoptedRow(
  { serial, fingerprint, notBeforeMs, notAfterMs }: DirectoryCertificate,
  issuer: string,
  nowMs: number,
): CertificateRecord {
  return {
    serial,
    fingerprint,
    keyFingerprint: unknownKey(serial),
    key: '',
    issuer,
    notBeforeMs,
    notAfterMs,
    status: 'active',
    seenAtMs: nowMs,
    adopted: true,
  };
}

/** A fingerprint that no key has, and that is different for each certificate. */
function unknownKey(serial: string): string {
  return `sha256:${createHash('sha256').update(`unknown key of ${serial}`).digest('hex')}`;
}

function putOf({ version, ...row }: Stored<DeviceRecord>, change: Partial<DeviceRecord>): Put {
  return { table: 'devices', record: { ...row, ...change }, expected: version };
}
