/**
 * When a certificate that will expire is worth a warning: the one rule for every check of
 * `flotilla status`, whether the command line or a service makes it.
 *
 * @module
 */
import type { CertificateFacts } from './certificate.ts';
import { dayMs } from '../core/config/duration.ts';

/** An operator has to replace a CA certificate, and every device has to learn of the new one. */
const authorityWarningMs = 180 * dayMs;

/**
 * The services renew their own certificates when a third of the lifetime is left, so less than a
 * sixth means that renewals fail.
 */
const renewedWarningMs = 14 * dayMs;
const renewedWarningPart = 1 / 6;

/** Whether a person should look at this certificate because of its end. */
export interface ExpiryWarning {
  readonly ok: boolean;
  /** `{n} days left` */
  readonly detail: string;
}

/**
 * Checks the end of a certificate: CA certificates are reported 180 days before it, all others 14
 * days before it, or a sixth of their lifetime if that is shorter.
 */
export function checkExpiry(
  certificate: Pick<CertificateFacts, 'isCa' | 'notBeforeMs' | 'notAfterMs'>,
  nowMs: number,
): ExpiryWarning {
  const { isCa, notBeforeMs, notAfterMs } = certificate;
  const lifetimeMs = notAfterMs - notBeforeMs;
  const warningMs = isCa
    ? authorityWarningMs
    : Math.min(renewedWarningMs, lifetimeMs * renewedWarningPart);
  const leftMs = notAfterMs - nowMs;
  return { ok: leftMs > warningMs, detail: `${Math.floor(leftMs / dayMs)} days left` };
}
