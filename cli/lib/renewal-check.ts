/**
 * One check of an identity folder: renews its certificate if that is due.
 *
 * @module
 */
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { renewIdentity, type RenewalOptions } from './identity-renewal.ts';
import { renewalTimeMs } from './renewal-schedule.ts';

export interface RenewalCheck {
  readonly device: string;
  readonly renewed: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** When the next renewal is due, or when the service accepts one. */
  readonly nextCheckAtMs: number;
  /** Whether the service refused the renewal as too early and named the time. */
  readonly isDeferred: boolean;
}

/**
 * Renews the certificate if its time has come, or if a renewal was interrupted.
 *
 * @throws FlotillaError as {@link renewIdentity}, except `renewal-too-early`: that is no failure
 */
export async function renewIfDue(options: RenewalOptions, nowMs: number): Promise<RenewalCheck> {
  try {
    const renewed = await renewIdentity(options, (facts) => nowMs >= renewalTimeMs(facts));
    const facts = readCertificate((await loadIdentity(options.dir)).cert);
    return checked(facts, renewed !== undefined, renewalTimeMs(facts), false);
  } catch (error) {
    if (!isFlotillaError(error) || error.code !== 'renewal-too-early') throw error;
    const facts = readCertificate((await loadIdentity(options.dir)).cert);
    return checked(facts, false, nowMs + (error.retryAfterSeconds ?? 3600) * 1000, true);
  }
}

/** What the folder contains now, without a renewal. @throws FlotillaError `identity-unreadable` */
export async function readCheck(dir: string): Promise<RenewalCheck> {
  const facts = readCertificate((await loadIdentity(dir)).cert);
  return checked(facts, false, renewalTimeMs(facts), false);
}

/** The document that the commands print. */
export function checkDocument(check: RenewalCheck): {
  device: string;
  renewed: boolean;
  notAfter: string;
  nextCheckAt: string;
} {
  return {
    device: check.device,
    renewed: check.renewed,
    notAfter: new Date(check.notAfterMs).toISOString(),
    nextCheckAt: new Date(check.nextCheckAtMs).toISOString(),
  };
}

function checked(
  facts: CertificateFacts,
  renewed: boolean,
  nextCheckAtMs: number,
  isDeferred: boolean,
): RenewalCheck {
  const { commonName, notBeforeMs, notAfterMs } = facts;
  const device = commonName.ok ? commonName.id : '';
  return { device, renewed, notBeforeMs, notAfterMs, nextCheckAtMs, isDeferred };
}
