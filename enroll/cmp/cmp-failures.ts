/** The PKIFailureInfo (RFC 4210, 5.2.3) of each error. @module */
import type { CmpFailure } from '../../certs/cmp-status.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';

const failures: Readonly<Partial<Record<ErrorCode, CmpFailure>>> = {
  'cmp-malformed': 'badDataFormat',
  'cmp-version-refused': 'unsupportedVersion',
  'cmp-protection-missing': 'badMessageCheck',
  'cmp-protection-invalid': 'badMessageCheck',
  'cmp-algorithm-refused': 'badAlg',
  'cmp-time-refused': 'badTime',
  'cmp-transaction-unknown': 'badRecipientNonce',
  'cmp-transaction-used': 'transactionIdInUse',
  'cmp-certificate-mismatch': 'badCertId',
  'cmp-revocation-refused': 'notAuthorized',
  'token-invalid': 'badMessageCheck',
  'token-expired': 'notAuthorized',
  'token-used': 'notAuthorized',
  'token-wrong-device': 'notAuthorized',
  'enrollment-denied': 'notAuthorized',
  'hook-refused': 'notAuthorized',
  'device-exists': 'notAuthorized',
  'device-suspended': 'notAuthorized',
  'device-revoked': 'certRevoked',
  'identity-role-conflict': 'notAuthorized',
  'client-certificate-untrusted': 'signerNotTrusted',
  'client-certificate-withdrawn': 'signerNotTrusted',
  'client-certificate-expired': 'signerNotTrusted',
  'client-certificate-revoked': 'certRevoked',
  'factory-certificate-refused': 'signerNotTrusted',
  'certificate-unreadable': 'badDataFormat',
  'csr-malformed': 'badDataFormat',
  'csr-too-large': 'badDataFormat',
  'csr-signature-invalid': 'badPOP',
  'csr-algorithm-unsupported': 'badAlg',
  'csr-key-unsupported': 'badCertTemplate',
  'csr-name-invalid': 'badCertTemplate',
  'csr-name-mismatch': 'badCertTemplate',
  'device-id-too-long': 'badCertTemplate',
  'key-type-refused': 'badCertTemplate',
  'key-in-use': 'badCertTemplate',
  'key-blocked': 'badCertTemplate',
  'key-reuse-refused': 'badCertTemplate',
  'operation-refused': 'badRequest',
  'profile-not-found': 'unacceptedPolicy',
  'too-many-requests': 'systemUnavail',
  'registry-unavailable': 'systemUnavail',
  'hook-failed': 'systemUnavail',
};

/** What the response reports about an error besides its code; `badRequest` if nothing is more exact. */
export function cmpFailureOf({ code, spec }: FlotillaError): CmpFailure {
  return failures[code] ?? ((spec.http ?? 500) >= 500 ? 'systemFailure' : 'badRequest');
}
