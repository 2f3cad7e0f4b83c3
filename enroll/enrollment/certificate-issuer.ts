/**
 * The last step of every way to a certificate: the checks that hold for all of them, the signature,
 * and the one commit that makes it so.
 *
 * @module
 */
import type { CertificateProfile } from '../../certs/profile.ts';
import type { Csr } from '../../certs/csr.ts';
import { noNames, type SubjectNames } from '../../certs/subject-names.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { certificateRow, withCertificate } from '../registry/device-rows.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import type { Change, Registry } from '../registry/registry.ts';
import { assertKeyFree } from './csr-checks.ts';
import type { IssuedAnswer } from './issue-result.ts';

export interface CertificateIssuerDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly clock: Clock;
}

export interface IssueRequest {
  readonly csr: Csr;
  /** The row as it shall be, but for the new certificate. */
  readonly row: DeviceRecord;
  /** The version of the row that was read; 0: there was none. */
  readonly expected: number;
  readonly profile: CertificateProfile;
  readonly validityMs: number;
  readonly names?: SubjectNames;
  /** The serial of the certificate that asks; it is not pushed out. */
  readonly keep?: string;
  /** Under which this certificate may be asked for again. */
  readonly answerKey?: string;
  /** What else changes with it. */
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
   * @throws FlotillaError `key-in-use`, `key-blocked`, `too-many-requests`, `registry-conflict` (the
   *   caller reads again and decides anew), `registry-unavailable`
   */
  async issue(request: IssueRequest): Promise<IssuedAnswer> {
    const { registry, ca, config, clock } = this.#deps;
    const { csr, row } = request;
    await assertKeyFree(csr, row.id, registry, ca);
    takeOrThrow(this.#perDevice, row.id);
    takeOrThrow(this.#signatures, '');
    const issuer = ca.current;
    const issued = issuer.issue({
      spki: csr.spki,
      profile: request.profile,
      commonName: row.id,
      names: request.names ?? noNames,
      validityMs: request.validityMs,
    });
    const { fingerprint } = issuer.certificate;
    const added: CertificateRecord = certificateRow(issued, csr.spki, fingerprint);
    const now = clock.now();
    const certificates = withCertificate(row.certificates, added, {
      max: config.limits.enroll.certificatesPerIdentityMax,
      nowMs: now,
      ...(request.keep === undefined ? {} : { keep: request.keep }),
    });
    const replayMs = config.enroll.tokenReplay;
    await registry.commit({
      puts: [
        { table: 'devices', record: { ...row, certificates }, expected: request.expected },
        ...(request.answerKey === undefined || replayMs === 0
          ? []
          : [
              {
                table: 'answers',
                record: {
                  key: request.answerKey,
                  device: row.id,
                  serial: issued.serial,
                  certificate: issued.der.toString('base64'),
                  issuer: fingerprint,
                  expiresAtMs: now + replayMs,
                },
                expected: (await registry.get('answers', request.answerKey))?.version ?? 0,
              } as const,
            ]),
        ...(request.change?.puts ?? []),
      ],
      deletions: request.change?.deletions ?? [],
      events: [
        ...(request.change?.events ?? []),
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
    return { ...issued, device: row.id, issuer: issuer.certificate };
  }
}

function takeOrThrow(limiter: RateLimiter, key: string): void {
  const retryAfterSeconds = limiter.take(key);
  if (retryAfterSeconds > 0) throw new FlotillaError('too-many-requests', { retryAfterSeconds });
}
