/**
 * When a device renews its certificate, and when it tries again after a failure. All pure.
 *
 * @module
 */
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The part of the lifetime after which a renewal is due, and how far single certificates are away from it. */
const duePart = 2 / 3;
const spreadPart = 1 / 20;

const firstRetryMs = minuteMs;
const retryMaxMs = 6 * hourMs;
/** So that short-lived certificates get several attempts before they expire. */
const retryMaxPart = 1 / 20;

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * The time at which the renewal of a certificate is due, in ms since 1970: two thirds of its lifetime, give or
 * take a twentieth. The fingerprint determines the difference. So devices that were enrolled together renew
 * at different times, and one device gets the same time whenever it computes it.
 *
 * @param fingerprint `sha256:` and hexadecimal digits
 */
export function renewalTimeMs(validity: Validity & { readonly fingerprint: string }): number {
  const { notBeforeMs, notAfterMs, fingerprint } = validity;
  const digits = fingerprint.replace('sha256:', '').slice(0, 8);
  const fraction = Number.parseInt(digits, 16) / 2 ** 32;
  const part = duePart + (fraction * 2 - 1) * spreadPart;
  return Math.floor(notBeforeMs + (notAfterMs - notBeforeMs) * part);
}

/**
 * How long to wait after a failure, in ms: a minute, doubled with each failure, up to six hours or a twentieth
 * of the certificate's lifetime. A random part of up to a half is subtracted, so that a fleet does not return
 * all at once after an outage.
 *
 * @param failures failures in a row, from 1
 * @param random from 0 to 1
 */
export function retryDelayMs(
  failures: number,
  validity: Validity | undefined,
  random: number,
): number {
  const lifetimeMs = validity === undefined ? Infinity : validity.notAfterMs - validity.notBeforeMs;
  const limitMs = Math.max(1000, Math.min(retryMaxMs, lifetimeMs * retryMaxPart));
  const delayMs = Math.min(limitMs, firstRetryMs * 2 ** (failures - 1));
  return delayMs * (1 - random / 2);
}
