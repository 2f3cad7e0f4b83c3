/**
 * When a certificate that Flotilla holds itself is renewed.
 *
 * @module
 */

/** The part of a certificate's validity that is left when its renewal is due. */
const renewAtPart = 1 / 3;

/** When a certificate is to be renewed, in ms since 1970. */
export function renewalDueMs(notBeforeMs: number, notAfterMs: number): number {
  return notAfterMs - (notAfterMs - notBeforeMs) * renewAtPart;
}
