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
import { generateKey, privateKeyPem, spkiOf, type KeyType } from '../../certs/key.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import { noNames, plainNames, type SubjectNames } from '../../certs/subject-names.ts';
import { assertSecret } from '../../core/secret-file.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { parseDeviceId, type DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { loadIdentity, saveIdentity } from '../../core/identity-folder.ts';
import type { Logger } from '../../core/log.ts';
import { enrollmentServerName } from '../../core/protocol/https-client.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { DeviceAdmin } from '../devices/devices.ts';
import { certificateRow, newIdentity, withCertificate } from '../registry/device-rows.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import { brokerNames, serverNames } from '../ca/server-names.ts';
import { storedNames } from '../enrollment/server-name-rules.ts';

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
 * The certificates that the service shows on its own port: the P-256 one, and the RSA one when it is enabled.
 *
 * @throws FlotillaError `file-too-open`, `file-write-failed`
 */
export async function ensureServerIdentities(
  deps: OwnIdentityDeps,
): Promise<readonly [OwnIdentity, ...OwnIdentity[]]> {
  const { tls, tlsRsa } = deps.state.enroll;
  const identity = await ensureServerIdentity(tls, 'p256', deps);
  if (!deps.config.tls.rsaServerCertificate) return [identity];
  return [identity, await ensureServerIdentity(tlsRsa, 'rsa2048', deps)];
}

async function ensureServerIdentity(
  folder: string,
  keyType: KeyType,
  deps: OwnIdentityDeps,
): Promise<OwnIdentity> {
  const { config, ca } = deps;
  const names = serverNames(config);
  const stored = await readOwnIdentity(folder);
  if (stored !== undefined && (!ca.signs('server') || isGood(stored, names, deps))) return stored;
  const key = await keyFor(stored, deps, keyType);
  const issued = await ca.service.sign({
    spki: spkiOf(key),
    profile: 'server',
    commonName: enrollmentServerName,
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
 * Without `newBroker`, a broker that was never here is not created: brokers may run on other machines only. One that an operator
 * suspended, revoked or deleted stays so: it is restored by {@link restoreOwnIdentity} only.
 *
 * @throws FlotillaError `file-too-open`, `file-write-failed`, `registry-conflict`, `registry-unavailable`
 */
export async function ensureOwnIdentities(
  deps: OwnIdentityDeps & {
    readonly registry: Registry;
    readonly log: Logger;
    readonly newBroker: boolean;
  },
): Promise<void> {
  // A change of the CA follows when another issuer signs.
  if (!deps.ca.signs('broker')) return;
  for (const own of ownKinds(deps)) {
    const isWanted = own.role !== 'broker' || deps.newBroker;
    if (isWanted || (await deps.registry.get('devices', own.id)) !== undefined) {
      await ensureIdentity(deps, own);
    }
  }
}

/** The ids of the identities that the state folder holds. */
export const ownNames = ['admin', 'broker'] as const;
export type OwnName = (typeof ownNames)[number];

function ownKinds({ state, config }: OwnIdentityDeps): readonly OwnKind[] {
  return [
    { folder: state.admin, id: adminId, role: 'admin', names: noNames },
    {
      folder: state.broker.identity,
      id: brokerId,
      role: 'broker',
      names: brokerNames(config),
    },
  ];
}

/** An identity that the state folder holds. */
interface OwnKind {
  readonly folder: string;
  readonly id: DeviceId;
  readonly role: 'admin' | 'broker';
  readonly names: SubjectNames;
}

/**
 * Issues an own identity again with a new key, although an operator suspended, revoked or deleted it. All
 * certificates that it had are revoked.
 *
 * @throws FlotillaError `identity-role-conflict` when another role has its name; otherwise as
 *   {@link ensureOwnIdentities}
 */
export async function restoreOwnIdentity(
  name: OwnName,
  deps: OwnIdentityDeps & { readonly registry: Registry },
): Promise<void> {
  const own = ownKinds(deps).find(({ id }) => id === name);
  if (own === undefined) throw new FlotillaError('internal');
  const row = await deps.registry.get('devices', own.id);
  if (row !== undefined && row.role !== own.role) {
    throw new FlotillaError('identity-role-conflict', { detail: `${own.id} is ${row.role}` });
  }
  if (row !== undefined) {
    await new DeviceAdmin(deps).revoke(own.id, 'superseded', 'system');
  }
  await issue(deps, own, await generateKey('p256'));
}

async function ensureIdentity(
  deps: OwnIdentityDeps & { readonly registry: Registry; readonly log: Logger },
  own: OwnKind,
): Promise<void> {
  const { registry, log } = deps;
  const found = await readOwnIdentity(own.folder);
  const row = await registry.get('devices', own.id);
  const hold = row === undefined ? await deletionOf(deps, own.id, found) : holdOf(row, own.role);
  if (hold !== undefined) {
    const message = 'an identity of the state folder is not renewed; see flotilla init --restore';
    log.warn({ device: own.id, status: hold }, message);
    return;
  }
  // A certificate that was revoked takes its key with it.
  const stored = isRegistered(row, found) ? found : undefined;
  if (stored !== undefined && isGood(stored, own.names, deps) && hasOnly(stored, own.names)) return;
  await issue(deps, own, await keyFor(stored, deps));
}

/** Why an existing identity must stay as it is. A role never changes under a certificate. */
function holdOf(row: DeviceRecord, role: string): string | undefined {
  if (row.role !== role) return `role ${row.role}`;
  return row.status === 'active' ? undefined : row.status;
}

/** An identity that is not in the registry, although it had a certificate, was deleted. */
async function deletionOf(
  { registry }: { readonly registry: Registry },
  id: DeviceId,
  found: OwnIdentity | undefined,
): Promise<string | undefined> {
  if (found !== undefined) return 'deleted';
  for await (const { device } of registry.rows('revocations')) if (device === id) return 'deleted';
  return undefined;
}

async function issue(
  deps: OwnIdentityDeps & { readonly registry: Registry },
  own: OwnKind,
  key: KeyObject,
): Promise<void> {
  const { registry, ca, config, clock } = deps;
  const issuer = ca.service;
  const issued = await issuer.sign({
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
    {
      ...certificateRow(issued, spkiOf(key), issuer.certificate.fingerprint),
      ...storedNames(own.names),
    },
    { max: config.limits.enroll.certificatesPerIdentityMax, nowMs: clock.now() },
  );
  await registry.commit({
    puts: [
      {
        table: 'devices',
        record: { ...row, status: 'active', heldSinceMs: undefined, certificates },
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
    chain: issued.pem + ca.chainAbove(ca.service.certificate.fingerprint),
    ca: ca.bundleOf(ca.service.certificate.fingerprint),
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
  keyType: KeyType = 'p256',
): Promise<KeyObject> {
  return stored !== undefined && isFresh(stored.certificate, clock.now())
    ? createPrivateKey(stored.key)
    : generateKey(keyType);
}

function isGood(
  { certificate, chain }: OwnIdentity,
  names: SubjectNames,
  { ca, clock }: OwnIdentityDeps,
): boolean {
  const has = new Set(plainNames(certificate.names));
  return (
    isFresh(certificate, clock.now()) &&
    plainNames(names).every((name) => has.has(name)) &&
    // After a rollover the service itself is the first to move to the new issuer.
    certificate.x509.verify(ca.service.certificate.x509.publicKey) &&
    chain === certificate.pem + ca.chainAbove(ca.service.certificate.fingerprint)
  );
}

/** Whether a certificate is valid and its renewal is not due yet. */
function isFresh({ notBeforeMs, notAfterMs }: CertificateFacts, nowMs: number): boolean {
  return notBeforeMs <= nowMs && nowMs < renewalDueMs(notBeforeMs, notAfterMs);
}

/** A broker's certificate must not keep a name that it no longer needs, for example the enrollment service's. */
function hasOnly({ certificate }: OwnIdentity, names: SubjectNames): boolean {
  const wanted = new Set(plainNames(names));
  return plainNames(certificate.names).every((name) => wanted.has(name));
}

function isRegistered(row: DeviceRecord | undefined, stored: OwnIdentity | undefined): boolean {
  if (row === undefined || stored === undefined) return false;
  const { fingerprint } = stored.certificate;
  return row.certificates.some((one) => one.fingerprint === fingerprint && one.status === 'active');
}
