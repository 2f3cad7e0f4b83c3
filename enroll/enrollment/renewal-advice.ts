/**
 * When a device should renew its certificate. The service names the time, so that an operator can move the
 * renewals of a fleet, as servers do with ACME Renewal Information (RFC 9773). Other than there, the service
 * itself spreads the devices: each certificate gets one time and not a window.
 *
 * @module
 */
import type { Authority } from '../../certs/authority.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { RenewalReason } from '../../core/protocol/enrollment-api.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import type { IssueResult } from './issue-result.ts';
import { defaultProfileName, profileOrDefault } from './profiles.ts';

/** The part of a certificate that determines when its renewal is due. */
export interface RenewableCertificate {
  /** `sha256:` and hexadecimal digits. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface RenewalCircumstances {
  /** The part of the lifetime after which a renewal is due, and how far single certificates differ from it. */
  readonly part: number;
  readonly spread: number;
  /** The last part of the lifetime in which the service accepts a renewal. */
  readonly renewalPart: number;
  /** How long before the end of a former issuer its certificates are renewed, in ms. */
  readonly issuerEndingMs: number;
  /** When the issuer of the certificate ends; undefined: it is not trusted anymore. */
  readonly issuerEndMs: number | undefined;
  /** When the issuer that would sign the successor ends. */
  readonly currentIssuerEndMs: number;
}

export interface RenewalAdvice {
  /** In ms since 1970. A time in the past means now. */
  readonly renewAtMs: number;
  readonly reason: RenewalReason;
}

/** Decides when a certificate should be renewed, and why. */
export function renewalAdvice(
  { fingerprint, notBeforeMs, notAfterMs }: RenewableCertificate,
  circumstances: RenewalCircumstances,
): RenewalAdvice {
  const { part, spread, renewalPart, issuerEndingMs, issuerEndMs, currentIssuerEndMs } =
    circumstances;
  if (issuerEndMs === undefined) return { renewAtMs: notBeforeMs, reason: 'issuer-withdrawn' };
  const fraction = fractionOf(fingerprint);
  const lifetimeMs = notAfterMs - notBeforeMs;
  const duePart = Math.max(part + (fraction * 2 - 1) * spread, 1 - renewalPart);
  const byLifetimeMs = Math.ceil(notBeforeMs + lifetimeMs * duePart);
  // Without a newer issuer, a renewal would not get a later end.
  const byIssuerMs =
    currentIssuerEndMs > issuerEndMs
      ? Math.floor(issuerEndMs - issuerEndingMs * (1 - fraction / 2))
      : Infinity;
  return byIssuerMs < byLifetimeMs
    ? { renewAtMs: byIssuerMs, reason: 'issuer-ending' }
    : { renewAtMs: byLifetimeMs, reason: 'lifetime' };
}

/** A number from 0 to 1 that spreads certificates evenly, and is always the same for one certificate. */
function fractionOf(fingerprint: string): number {
  return Number.parseInt(fingerprint.replace('sha256:', '').slice(0, 8), 16) / 2 ** 32;
}

/** A certificate, and the fingerprint of its issuer. */
type IssuedByUs = RenewableCertificate & { readonly issuer: string };

type RenewingHolder = Pick<DeviceRecord, 'role' | 'profile'>;

export interface RenewalAdviserDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly registry: Registry;
}

/** {@link renewalAdvice} for the certificates of this service. */
export class RenewalAdviser {
  readonly #deps: RenewalAdviserDeps;

  constructor(deps: RenewalAdviserDeps) {
    this.#deps = deps;
  }

  advise(certificate: IssuedByUs, { role, profile }: RenewingHolder): RenewalAdvice {
    const { ca, config } = this.#deps;
    const { part, spread, issuerEnding } = config.enroll.renewal;
    return renewalAdvice(certificate, {
      part,
      spread,
      renewalPart: profileOrDefault(config, profile).renewalPart,
      issuerEndingMs: issuerEnding,
      issuerEndMs: ca.isWithdrawn(certificate.issuer)
        ? undefined
        : ca.issuer(certificate.issuer)?.certificate.notAfterMs,
      currentIssuerEndMs: this.#signingNow(certificate, role).certificate.notAfterMs,
    });
  }

  #signingNow({ issuer }: IssuedByUs, role: string): Authority {
    const { ca } = this.#deps;
    if (role !== 'device') return ca.service;
    return ca.isOfDeviceServers(issuer) ? ca.signerOf('device-server') : ca.current;
  }

  /** When a certificate that was just issued should be renewed, in ms since 1970. */
  async renewAtMs(result: IssueResult): Promise<number> {
    const row = await this.#deps.registry.get('devices', result.device);
    const issuer = result.issuer.fingerprint;
    const holder = row ?? { role: 'device', profile: defaultProfileName };
    const { renewAtMs } = this.advise({ ...result, issuer }, holder);
    return renewAtMs;
  }

  /** Whether the certificate should be replaced now for another reason than its lifetime. */
  isUrgent(certificate: IssuedByUs, holder: RenewingHolder): boolean {
    const { renewAtMs, reason } = this.advise(certificate, holder);
    return reason !== 'lifetime' && renewAtMs <= this.#deps.clock.now();
  }

  /** The time until then in whole seconds; 0: now. A device whose clock is wrong needs no other. */
  secondsUntil({ renewAtMs }: RenewalAdvice): number {
    return Math.max(0, Math.ceil((renewAtMs - this.#deps.clock.now()) / 1000));
  }
}
