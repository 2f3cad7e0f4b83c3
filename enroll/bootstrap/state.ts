/**
 * The state folder of the enrollment service: making what is missing, and opening what is there.
 *
 * @module
 */
import { generateKey, spkiOf } from '../../certs/key.ts';
import { noNames, plainNames, type SubjectNames } from '../../certs/subject-names.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { parseDeviceId, type DeviceId } from '../../core/device-id.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { authorityUrls } from '../ca/authority-urls.ts';
import { createCa, hasCa, openCa } from '../ca/ca-folder.ts';
import { CertificateAuthority } from '../ca/certificate-authority.ts';
import { makePassphrase, readPassphrase, type Environment } from '../ca/passphrase.ts';
import { isFresh, readIdentity, writeIdentity, type StoredIdentity } from './identity-folder.ts';
import { certificateRow, newIdentity, withCertificate } from '../registry/device-rows.ts';
import { openLowdbRegistry, type LowdbRegistry } from '../registry/lowdb-registry.ts';
import type { Registry } from '../registry/registry.ts';
import { serverNames } from './server-names.ts';

export interface StateDeps {
  readonly clock?: Clock;
  readonly log: Logger;
  /** Where a passphrase may come from; the process's own unless told. */
  readonly env?: Environment;
}

/** The service's holdings, open. */
export interface OpenState {
  readonly registry: LowdbRegistry;
  readonly audit: AuditLog;
  readonly ca: CertificateAuthority;
}

/** The identities that the state folder itself holds. */
const adminId: DeviceId = parseDeviceId('admin');
const brokerId: DeviceId = parseDeviceId('broker');

/**
 * Makes what is missing: the CA, the service's own server certificate, the administrator's and the
 * broker's identity with their rows in the registry. Renews what of these is near its end. What is
 * there and good stays as it is.
 *
 * @throws FlotillaError `ca-passphrase-missing`, `ca-passphrase-wrong`, `registry-locked`,
 *   `file-write-failed`, …
 */
export async function initialiseState(
  state: StateFolder,
  config: Config,
  deps: StateDeps,
): Promise<{ fingerprint: string; created: boolean }> {
  const { clock = systemClock, env = process.env } = deps;
  await makeSecretFolder(state.root);
  const created = !(await hasCa(state));
  if (created) {
    const passphrase = await makePassphrase(state, env);
    await createCa(state, passphrase, { clock });
  }
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const open = await openState(state, config, deps, lifecycle);
    await ensureServerIdentity(state, config, open.ca, clock);
    await ensureOwnIdentities(state, config, open, clock);
    const { fingerprint } = open.ca;
    await lifecycle.close();
    return { fingerprint, created };
  });
}

/** Opens CA, audit log and registry; `lifecycle` closes them. */
export async function openState(
  state: StateFolder,
  config: Config,
  { clock = systemClock, log, env = process.env }: StateDeps,
  lifecycle: Lifecycle,
): Promise<OpenState> {
  const passphrase = await readPassphrase(state, env);
  const opened = await openCa(state, passphrase, { clock, urls: authorityUrls(config) });
  const ca = new CertificateAuthority(opened);
  const audit = await AuditLog.open(state.enroll.audit, clock);
  lifecycle.add('audit log', () => audit.close());
  const registry = await openLowdbRegistry(state.enroll.registry, {
    clock,
    log,
    sink: audit.sink,
  });
  lifecycle.add('registry', () => registry.close());
  return { registry, audit, ca };
}

/**
 * The certificate that the service shows on its own port: the one on the disk, or a new one when it
 * is near its end, lacks a name or was issued by another issuer than the current one.
 */
export async function ensureServerIdentity(
  state: StateFolder,
  config: Config,
  ca: CertificateAuthority,
  clock: Clock,
): Promise<StoredIdentity> {
  const names = serverNames(config);
  const held = await readIdentity(state.enroll.tls);
  if (held !== undefined && isGood(held, ca, names, clock.now())) return held;
  const key = await generateKey('p256');
  const issuer = ca.current;
  const issued = issuer.issue({
    spki: spkiOf(key),
    profile: 'server',
    commonName: 'enrollment',
    names,
    validityMs: config.enroll.serverCertificateValidity,
  });
  await writeIdentity(state.enroll.tls, {
    key,
    certificate: issued.pem,
    issuer: issuer.certificate.pem,
    ca: ca.bundle,
  });
  const written = await readIdentity(state.enroll.tls);
  if (written === undefined) throw new Error('the server certificate cannot be read back');
  return written;
}

/** The administrator's and the broker's identity in the state folder: good, or made anew. */
export async function ensureOwnIdentities(
  state: StateFolder,
  config: Config,
  open: Pick<OpenState, 'registry' | 'ca'>,
  clock: Clock,
): Promise<void> {
  await ensureIdentity(open, config, clock, {
    folder: state.admin,
    id: adminId,
    role: 'admin',
    names: noNames,
  });
  await ensureIdentity(open, config, clock, {
    folder: state.broker.identity,
    id: brokerId,
    role: 'broker',
    names: serverNames(config),
  });
}

async function ensureIdentity(
  { registry, ca }: Pick<OpenState, 'registry' | 'ca'>,
  config: Config,
  clock: Clock,
  own: { folder: string; id: DeviceId; role: 'admin' | 'broker'; names: SubjectNames },
): Promise<void> {
  const held = await readIdentity(own.folder);
  if (
    held !== undefined &&
    isGood(held, ca, own.names, clock.now()) &&
    (await isRegistered(registry, own.id, held))
  ) {
    return;
  }
  const key = await generateKey('p256');
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
  await writeIdentity(own.folder, {
    key,
    certificate: issued.pem,
    issuer: issuer.certificate.pem,
    ca: ca.bundle,
  });
}

function isGood(
  { certificate }: StoredIdentity,
  ca: CertificateAuthority,
  names: SubjectNames,
  nowMs: number,
): boolean {
  const has = new Set(plainNames(certificate.names));
  return (
    isFresh(certificate, nowMs) &&
    plainNames(names).every((name) => has.has(name)) &&
    // After a rollover the service itself is the first to move to the new issuer.
    certificate.x509.verify(ca.current.certificate.x509.publicKey)
  );
}

async function isRegistered(
  registry: Registry,
  id: DeviceId,
  { certificate }: StoredIdentity,
): Promise<boolean> {
  const row = await registry.holderOfSerial(certificate.serial);
  return (
    row?.id === id &&
    row.status === 'active' &&
    row.certificates.some(
      ({ fingerprint, status }) => fingerprint === certificate.fingerprint && status === 'active',
    )
  );
}
