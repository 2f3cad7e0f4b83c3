/**
 * The reasons for closing a connection after which its will is not published.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';

/**
 * Reasons to end a connection that also end the right to speak: the will is not published.
 */
export const willSuppressingCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'certificate-revoked',
  'device-revoked',
  'device-suspended',
  'device-removed',
  'device-cloned',
  'device-overlapping',
]);
