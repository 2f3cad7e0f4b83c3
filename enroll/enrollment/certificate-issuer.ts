/**
 * The last step of enrollment, renewal and the certificates of services: rate limits, the signature, and one
 * commit.
 *
 * @module
 */
import type { Authority, IssuedCertificate } from '../../certs/authority.ts';
import type { CertificateProfile } from '../../certs/profile.ts';
import { noNames, type SubjectNames } from '../../certs/subject-names.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { ExternalCa } from '../ca/external-ca.ts';
import { certificateRow, withCertificate } from '../registry/device-rows.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Change, Put, Registry } from '../registry/registry.ts';
import type { CheckedCsr } from './csr-checks.ts';
import { storedNames } from './server-name-rules.ts';
import type { IssueResult, ReplaySlot } from './issue-result.ts';

/** How long a request waits for the issuer that replaces a withdrawn one, in ms. */
const replacementWaitMs = 10_000;

export interface CertificateIssuerDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly clock: Clock;
  /** What signs for an issuer whose key is not here. */
  readonly external?: ExternalCa | undefined;
}

export interface IssueRequest {
  readonly csr: CheckedCsr;
  /** The row to write, without the new certificate. */
  readonly row: DeviceRecord;
  /** The version of the row that was read; 0: there was none. */
  readonly expected: number;
  readonly profile: CertificateProfile;
  readonly validityMs: number;
  readonly names?: SubjectNames;
  /** The serial number of the requester's own certificate, which is kept when there are too many. */
  readonly keep?: string;
  /** Keeps the result for a repetition of the request. */
  readonly replay?: ReplaySlot;
  /** Committed together with the certificate. */
  readonly change?: Change;
  readonly event: Omit<AuditEvent, 'device'>;
}

export class CertificateIssuer {
  readonly #deps: CertificateIssuerDeps;
  readonly #perDevice: RateLimiter;
  readonly #signatures: RateLimiter;

  constructor(deps: CertificateIssuerDeps) {
    this.#deps = deps;
    const { enrollmentsPerDevicePerHour, signaturesPerSecond } = deps.config.limits.enroll;
    this.#perDevice = new RateLimiter(deps.clock, enrollmentsPerDevicePerHour, 3_600_000);
    this.#signatures = new RateLimiter(deps.clock, signaturesPerSecond, 1000);
  }

  /**
   * Issues and commits. The certificate is in the registry and on the disk when it resolves.
   *
   * @throws FlotillaError `too-many-requests`, `issuer-being-replaced`, `external-ca-…`, `registry-conflict` (the caller reads again and decides
   *   again), `registry-unavailable`
   */
  async issue(request: IssueRequest): Promise<IssueResult> {
    const { registry, config, clock } = this.#deps;
    const { row, change } = request;
    const { csr } = request.csr;
    takeOrThrow(this.#perDevice, row.id);
    takeOrThrow(this.#signatures, '');
    const issuer = await this.#signerOf(request.profile);
    const issued = await this.#sign(request, issuer);
    const added = {
      ...certificateRow(issued, csr.spki, issuer.certificate.fingerprint),
      ...storedNames(request.names),
    };
    const others = row.certificates.filter((one) => one.fingerprint !== added.fingerprint);
    const certificates = withCertificate(others, added, {
      max: config.limits.enroll.certificatesPerIdentityMax,
      nowMs: clock.now(),
      ...(request.keep === undefined ? {} : { keep: request.keep }),
    });
    const result: IssueResult = { ...issued, device: row.id, issuer: issuer.certificate };
    await registry.commit({
      puts: [
        { table: 'devices', record: { ...row, certificates }, expected: request.expected },
        ...this.#replayPuts(request.replay, result),
        ...(change?.puts ?? []),
      ],
      deletions: change?.deletions ?? [],
      events: [
        ...(change?.events ?? []),
        {
          ...request.event,
          device: row.id,
          detail: {
            ...request.event.detail,
            serial: issued.serial,
            notAfter: new Date(issued.notAfterMs).toISOString(),
            key: issued.keyFingerprint,
          },
        },
      ],
    });
    return result;
  }

  async #sign(request: IssueRequest, issuer: Authority): Promise<IssuedCertificate> {
    const { names = noNames, profile, validityMs } = request;
    const { csr } = request.csr;
    const { id } = request.row;
    const { ca, external } = this.#deps;
    if (!ca.isExternal(issuer.certificate.fingerprint)) {
      return issuer.sign({ spki: csr.spki, profile, commonName: id, names, validityMs });
    }
    if (external === undefined) {
      throw new FlotillaError('external-ca-refused', { detail: 'enroll.externalCa is not set' });
    }
    const { certificate } = issuer;
    const issued = await external.issue({
      csr,
      device: id,
      names,
      validityMs,
      issuer: certificate,
    });
    await this.#assertNew(issued, request.row);
    return issued;
  }

  /**
   * An external CA may return an earlier certificate for the same request: one that is in use is the answer again.
   *
   * @throws FlotillaError `external-ca-answer-refused` when it was revoked, or another one has its serial number
   */
  async #assertNew({ serial, fingerprint }: IssuedCertificate, row: DeviceRecord): Promise<void> {
    const { registry } = this.#deps;
    const known = (await registry.holderOfSerial(serial))?.certificates.find(
      (one) => one.serial === serial,
    );
    const own = row.certificates.find((one) => one.fingerprint === fingerprint);
    const isRevoked = (await registry.get('revocations', serial)) !== undefined;
    if (!isRevoked && (known === undefined || own?.status === 'active')) return;
    throw new FlotillaError('external-ca-answer-refused', {
      detail: `the serial number ${serial} was used before`,
    });
  }

  /** While a withdrawn issuer is being replaced, requests wait for the other one. */
  async #signerOf(profile: CertificateProfile): Promise<Authority> {
    const { ca, clock } = this.#deps;
    if (!ca.signs(profile)) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          stop();
          cancel();
          resolve();
        };
        const stop = ca.onChange(() => {
          if (ca.signs(profile)) done();
        });
        const cancel = clock.after(replacementWaitMs, done);
      });
    }
    return ca.signerOf(profile);
  }

  #replayPuts(slot: ReplaySlot | undefined, { device, serial, der, issuer }: IssueResult): Put[] {
    const { config, clock } = this.#deps;
    const keptMs = config.enroll.tokenReplay;
    if (slot === undefined || keptMs === 0) return [];
    const record = {
      key: slot.key,
      device,
      serial,
      certificate: der.toString('base64'),
      issuer: issuer.fingerprint,
      expiresAtMs: clock.now() + keptMs,
    };
    return [{ table: 'answers', record, expected: slot.expected }];
  }
}

function takeOrThrow(limiter: RateLimiter, key: string): void {
  const retryAfterSeconds = limiter.take(key);
  if (retryAfterSeconds > 0) throw new FlotillaError('too-many-requests', { retryAfterSeconds });
}
