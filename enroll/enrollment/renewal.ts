/**
 * Renewal: the holder of a certificate that is valid, or expired less than the grace period ago, requests its
 * successor. Over the JSON API, over EST, and over MQTT through a broker.
 *
 * @module
 */
import { createPublicKey, verify } from 'node:crypto';
import { parsedCsr, type Csr } from '../../certs/csr.ts';
import type { CertificateProfile } from '../../certs/profile.ts';
import {
  isEmptyNames,
  plainNames,
  subjectNamesOf,
  type SubjectNames,
} from '../../certs/subject-names.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { printable } from '../../core/escape.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { assertStanding } from '../registry/device-rows.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import { retryOnConflict, type Registry } from '../registry/registry.ts';
import { areOwnNames, assertCommonName, assertKeyType, CheckedCsr } from './csr-checks.ts';
import type { RenewalAdviser } from './renewal-advice.ts';
import { findReplay, replayKey, type IssueResult } from './issue-result.ts';
import type { CertificateIssuer } from './certificate-issuer.ts';
import { profileOrDefault, type EnrollmentProfile } from './profiles.ts';
import { namesForRenewal } from './server-name-rules.ts';
import type { ServiceNames } from './service-names.ts';

export interface RenewalDeps {
  readonly registry: Registry;
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly clock: Clock;
  readonly issuing: CertificateIssuer;
  readonly adviser: RenewalAdviser;
  readonly serviceNames: ServiceNames;
}

export interface RenewalRequest {
  /** A parsed one has proved to have its key. */
  readonly csr: Uint8Array | string | Csr;
  /** The serial number of the current certificate; its holder has proved to own the key. */
  readonly serial: string;
  readonly fingerprint: string;
  /** Set when a broker relays the request: then the holder has proved nothing to this service. */
  readonly relayed?: {
    /** The device to which the certificate belongs, according to the broker. */
    readonly device: DeviceId;
    /** Base64: the signature of the certificate's key over the CSR, DER. */
    readonly proof?: string;
  };
  /** The alternative names in the current certificate, unless a broker relays the request; its successor gets the same. */
  readonly names: SubjectNames;
  /** RFC 7030, 4.2.2: subject and alternative names must be those of the current certificate. */
  readonly sameNames: boolean;
  /** The enrollment profile that the request names, if any. */
  readonly profile?: string | undefined;
  readonly remoteAddress: string;
  /** `https`, `est`, or the broker that relayed it. */
  readonly via: string;
}

export class Renewal {
  readonly #deps: RenewalDeps;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
  }

  /**
   * Issues the successor. The old and the new certificate are both valid until the new one is used for a
   * connection.
   *
   * @throws FlotillaError `client-certificate-…`, `device-…`, `csr-…`, `key-…`, `renewal-too-early`,
   *   `too-many-requests`, `registry-unavailable`
   */
  async renew(request: RenewalRequest): Promise<IssueResult> {
    const csr = parsedCsr(request.csr);
    try {
      return await retryOnConflict(() => this.#decide(request, csr));
    } catch (error) {
      if (isFlotillaError(error) && error.code !== 'too-many-requests') {
        const row = await this.#deps.registry.holderOfSerial(request.serial);
        await this.#deps.audit.append({
          action: 'renewal-refused',
          actor: row?.id ?? 'unknown',
          ...(row === undefined ? {} : { device: row.id }),
          remoteAddress: request.remoteAddress,
          detail: { code: error.code, serial: request.serial, via: request.via },
        });
      }
      throw error;
    }
  }

  async #decide(request: RenewalRequest, csr: Csr): Promise<IssueResult> {
    const { registry, config, clock, issuing } = this.#deps;
    const row = await registry.holderOfSerial(request.serial);
    const current = row?.certificates.find(
      ({ fingerprint }) => fingerprint === request.fingerprint,
    );
    const isOther = request.relayed !== undefined && request.relayed.device !== row?.id;
    if (row === undefined || current === undefined || isOther) {
      throw new FlotillaError('client-certificate-untrusted');
    }
    if (request.relayed !== undefined) assertRelayed(csr, row, current, request.relayed.proof);
    assertStanding(row, current, clock.now(), config.enroll.renewGrace);
    const profile = profileOrDefault(config, row.profile);
    assertOwnProfile(profile, request.profile);
    const key = replayKey(`renew:${request.serial}`, csr.der);
    const replay = await findReplay(key, row.id, this.#deps);
    if (replay.result !== undefined) {
      await registry.settled();
      return replay.result;
    }
    if (request.sameNames) assertSameNames(csr, row, request.names);
    else assertCommonName(csr, row.id);
    // A broker could relay other names than those in the certificate.
    const known =
      request.relayed === undefined ? request.names : subjectNamesOf(current.names ?? []);
    const names =
      row.role === 'device' ? await this.#namesOf(csr, known, row, profile) : request.names;
    assertKeyType(csr, profile);
    const isUrgent = this.#deps.adviser.isUrgent(current, row);
    if (!isUrgent) assertNotTooEarly(row, current, profile, clock.now());
    assertKeyChange(csr, row, profile);
    const { version, ...record } = row;
    return issuing.issue({
      csr: await CheckedCsr.check(csr, row.id, this.#deps),
      row: {
        ...record,
        // A service may run in several places, each with its own certificate.
        certificates:
          row.role === 'device'
            ? withoutUnseen(record.certificates, current, clock.now())
            : record.certificates,
      },
      expected: version,
      profile: kindOf(row, names),
      // Brokers are servers, whichever profile they have.
      validityMs:
        row.role === 'broker' ? config.enroll.serverCertificateValidity : profile.validityMs,
      names,
      keep: current.serial,
      replay: replay.slot,
      event: {
        action: 'certificate-renewed',
        actor: row.id,
        remoteAddress: request.remoteAddress,
        detail: { replaces: current.serial, via: request.via },
      },
    });
  }

  /** A device without an address of its own may get another one: its successor may have other names. */
  async #namesOf(
    csr: Csr,
    names: SubjectNames,
    { id: device }: DeviceRecord,
    profile: EnrollmentProfile,
  ): Promise<SubjectNames> {
    const reserved = await this.#deps.serviceNames.reservedFor(profile);
    return namesForRenewal(csr, names, { device, profile, reserved });
  }
}

/**
 * A compromised broker must not get certificates for keys of its own. Therefore the key must stay the same,
 * or the current key must have signed the request for the new one. A broker relays for devices only, never
 * for services, brokers or administrators.
 */
function assertRelayed(
  csr: Csr,
  row: DeviceRecord,
  current: CertificateRecord,
  proof: string | undefined,
): void {
  if (row.role !== 'device') throw new FlotillaError('role-missing', { detail: 'device' });
  if (csr.keyFingerprint === current.keyFingerprint) return;
  if (proof === undefined) throw new FlotillaError('relay-proof-missing');
  if (current.key === '') {
    throw new FlotillaError('relay-proof-missing', {
      detail: 'the key of this certificate is not known since a restore: renew over HTTPS',
    });
  }
  const key = createPublicKey({
    key: Buffer.from(current.key, 'base64'),
    format: 'der',
    type: 'spki',
  });
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  if (!verify(hash, csr.der, key, Buffer.from(proof, 'base64'))) {
    throw new FlotillaError('relay-proof-missing', { detail: 'the signature is not valid' });
  }
}

/** @throws FlotillaError `renewal-too-early` */
function assertNotTooEarly(
  row: DeviceRecord,
  current: CertificateRecord,
  profile: EnrollmentProfile,
  nowMs: number,
): void {
  if (row.role !== 'device') return;
  const lifeMs = current.notAfterMs - current.notBeforeMs;
  const earliestMs = current.notAfterMs - lifeMs * profile.renewalPart;
  if (nowMs < earliestMs) {
    throw new FlotillaError('renewal-too-early', {
      detail: `possible from ${new Date(earliestMs).toISOString()}`,
      retryAfterSeconds: Math.ceil((earliestMs - nowMs) / 1000),
    });
  }
}

/** @throws FlotillaError `key-reuse-refused` */
function assertKeyChange(csr: Csr, row: DeviceRecord, profile: EnrollmentProfile): void {
  if (row.role !== 'device') return;
  const reused = row.certificates.some(
    ({ keyFingerprint }) => keyFingerprint === csr.keyFingerprint,
  );
  if (reused && !profile.keyReuse) throw new FlotillaError('key-reuse-refused');
}

/** A renewal does not change the profile. @throws FlotillaError `profile-not-found` */
function assertOwnProfile({ name }: EnrollmentProfile, requested: string | undefined): void {
  if (requested === undefined || requested === name) return;
  throw new FlotillaError('profile-not-found', {
    detail: `${printable(requested)}; this identity has ${name}`,
  });
}

/**
 * The names must be those of the current certificate. A device may also send the request with which it
 * enrolled, as clients do: without a subject, or with its id as a DNS name, which was checked and not certified.
 */
function assertSameNames(csr: Csr, row: DeviceRecord, names: SubjectNames): void {
  const isSame =
    csr.commonName === row.id && plainNames(csr.names).join('\n') === plainNames(names).join('\n');
  const isOwn = row.role === 'device' && areOwnNames(csr, row.id);
  if (isSame || isOwn) return;
  throw new FlotillaError('csr-name-mismatch', {
    detail: `subject and names must be those of the current certificate of ${row.id}`,
  });
}

/**
 * A successor that was never used is replaced by the next one, so that a device that retries often does not
 * accumulate certificates.
 */
function withoutUnseen(
  certificates: readonly CertificateRecord[],
  current: CertificateRecord,
  nowMs: number,
): readonly CertificateRecord[] {
  return certificates.map((certificate) => {
    const isNewer = certificate.notBeforeMs >= current.notBeforeMs;
    const isUnseen = certificate.seenAtMs === undefined && certificate.status === 'active';
    return isNewer && isUnseen && certificate.serial !== current.serial
      ? { ...certificate, status: 'retired', retiredAtMs: nowMs }
      : certificate;
  });
}

function kindOf({ role }: DeviceRecord, names: SubjectNames): CertificateProfile {
  if (role === 'admin' || role === 'broker' || role === 'service') return role;
  return isEmptyNames(names) ? 'device' : 'device-server';
}
