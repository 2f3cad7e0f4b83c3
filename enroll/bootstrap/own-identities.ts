/**
 * The identities that the state folder itself holds: the enrollment service's server certificate, the
 * administrator and the broker. They are issued when they are missing, and issued again when their renewal
 * is due, a name is missing, or another issuer signs.
 *
 * As long as the renewal is not due, the key stays the same: a program that opens `key.pem` and `chain.pem`
 * by two paths (curl) then gets a matching pair even while the certificate is replaced.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { IssuedCertificate } from '../../certs/authority.ts';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { generateKey, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import { noNames, plainNames, type SubjectNames } from '../../certs/subject-names.ts';
import { assertSecret } from '../../core/secret-file.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { parseDeviceId, type DeviceId } from '../../core/device-id.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { loadIdentity, saveIdentity } from '../../core/identity-folder.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { certificateRow, newIdentity, withCertificate } from '../registry/device-rows.ts';
import type { Registry } from '../registry/registry.ts';
import { serverNames } from './server-names.ts';

export interface OwnIdentity {
  readonly certificate: CertificateFacts;
  /** PEM: leaf, then issuer. */
  readonly chain: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export interface OwnIdentityDeps {
  readonly state: StateFolder;
  readonly config: Config;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
}

const adminId: DeviceId = parseDeviceId('admin');
const brokerId: DeviceId = parseDeviceId('broker');

/**
 * The certificate that the service shows on its own port.
 *
 * @throws FlotillaError `file-too-open`, `file-write-failed`
 */
export async function ensureServerIdentity(deps: OwnIdentityDeps): Promise<OwnIdentity> {
  const { state, config, ca } = deps;
  const folder = state.enroll.tls;
  const names = serverNames(config);
  const stored = await readOwnIdentity(folder);
  if (stored !== undefined && isGood(stored, names, deps)) return stored;
  const key = await keyFor(stored, deps);
  const issued = ca.current.issue({
    spki: spkiOf(key),
    profile: 'server',
    commonName: 'enrollment',
    names,
    validityMs: config.enroll.serverCertificateValidity,
  });
  await save(folder, key, issued, ca);
  const written = await readOwnIdentity(folder);
  if (written === undefined) throw new Error('the server certificate cannot be read back');
  return written;
}

/**
 * The administrator's and the broker's identity, with their rows in the registry.
 *
 * @throws FlotillaError `file-too-open`, `file-write-failed`, `registry-conflict`, `registry-unavailable`
 */
export async function ensureOwnIdentities(
  deps: OwnIdentityDeps & { readonly registry: Registry },
): Promise<void> {
  const { state, config } = deps;
  await ensureIdentity(deps, {
    folder: state.admin,
    id: adminId,
    role: 'admin',
    names: noNames,
  });
  await ensureIdentity(deps, {
    folder: state.broker.identity,
    id: brokerId,
    role: 'broker',
    names: serverNames(config),
  });
}

async function ensureIdentity(
  deps: OwnIdentityDeps & { readonly registry: Registry },
  own: { folder: string; id: DeviceId; role: 'admin' | 'broker'; names: SubjectNames },
): Promise<void> {
  const { registry, ca, config, clock } = deps;
  const found = await readOwnIdentity(own.folder);
  // A certificate that was revoked takes its key with it.
  const stored = (await isRegistered(registry, own.id, found)) ? found : undefined;
  if (stored !== undefined && isGood(stored, own.names, deps)) return;
  const key = await keyFor(stored, deps);
  const issuer = ca.current;
  const issued = issuer.issue({
    spki: spkiOf(key),
    profile: own.role,
    commonName: own.id,
    names: own.names,
    validityMs: config.enroll.serverCertificateValidity,
  });
  const before = await registry.get('devices', own.id);
  const row = before ?? newIdentity({ id: own.id, role: own.role, createdAtMs: clock.now() });
  const certificates = withCertificate(
    row.certificates,
    certificateRow(issued, spkiOf(key), issuer.certificate.fingerprint),
    { max: config.limits.enroll.certificatesPerIdentityMax, nowMs: clock.now() },
  );
  await registry.commit({
    puts: [
      {
        table: 'devices',
        record: { ...row, role: own.role, status: 'active', certificates },
        expected: before?.version ?? 0,
      },
    ],
    events: [
      {
        action: 'identity-created',
        actor: 'system',
        device: own.id,
        detail: { role: own.role, serial: issued.serial },
      },
    ],
  });
  await save(own.folder, key, issued, ca);
}

async function save(
  folder: string,
  key: KeyObject,
  issued: IssuedCertificate,
  ca: CertificateAuthority,
): Promise<void> {
  await saveIdentity(folder, {
    key: privateKeyPem(key),
    cert: issued.pem,
    chain: issued.pem + ca.current.certificate.pem,
    ca: ca.bundle,
  });
}

/** @returns undefined when a file is missing or damaged, or the files do not belong together */
async function readOwnIdentity(folder: string): Promise<OwnIdentity | undefined> {
  try {
    const { key, cert, chain } = await loadIdentity(folder);
    await assertSecret(identityFiles(folder).key);
    return { certificate: readCertificate(cert), chain, key };
  } catch (error) {
    if (isFlotillaError(error, 'file-too-open')) throw error;
    return undefined;
  }
}

/** The stored key as long as its renewal is not due, then a new one. */
async function keyFor(
  stored: OwnIdentity | undefined,
  { clock }: OwnIdentityDeps,
): Promise<KeyObject> {
  return stored !== undefined && isFresh(stored.certificate, clock.now())
    ? createPrivateKey(stored.key)
    : generateKey('p256');
}

function isGood(
  { certificate }: OwnIdentity,
  names: SubjectNames,
  { ca, clock }: OwnIdentityDeps,
): boolean {
  const has = new Set(plainNames(certificate.names));
  return (
    isFresh(certificate, clock.now()) &&
    plainNames(names).every((name) => has.has(name)) &&
    // After a rollover the service itself is the first to move to the new issuer.
    certificate.x509.verify(ca.current.certificate.x509.publicKey)
  );
}

/** Whether a certificate is valid and its renewal is not due yet. */
function isFresh({ notBeforeMs, notAfterMs }: CertificateFacts, nowMs: number): boolean {
  return notBeforeMs <= nowMs && nowMs < renewalDueMs(notBeforeMs, notAfterMs);
}

async function isRegistered(
  registry: Registry,
  id: DeviceId,
  stored: OwnIdentity | undefined,
): Promise<boolean> {
  if (stored === undefined) return false;
  const { serial, fingerprint } = stored.certificate;
  const row = await registry.holderOfSerial(serial);
  return (
    row?.id === id &&
    row.status === 'active' &&
    row.certificates.some((one) => one.fingerprint === fingerprint && one.status === 'active')
  );
}
