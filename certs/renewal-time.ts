/**
 * When a certificate that Flotilla holds itself is renewed.
 *
 * @module
 */
import { backdateMs } from './authority.ts';

/** The part of a certificate's validity that is left when its renewal is due. */
const renewAtPart = 1 / 3;

/**
 * When a certificate is to be renewed, in ms since 1970. The time before it was issued does not count: otherwise a
 * certificate that is valid for a minute would be due before it is there.
 */
export function renewalDueMs(notBeforeMs: number, notAfterMs: number): number {
  const lifetimeMs = notAfterMs - notBeforeMs;
  const usableMs = lifetimeMs > backdateMs ? lifetimeMs - backdateMs : lifetimeMs;
  return notAfterMs - usableMs * renewAtPart;
}
