/** Errors of CMP, the certificate management protocol of the enrollment service. @module */
import { errors } from './error-spec.ts';

export const cmpErrors = errors({
  'cmp-malformed': {
    title: 'The CMP message cannot be read',
    advice:
      'Send one PKIMessage in DER with transactionID and senderNonce, as RFC 9483 requires; check the client.',
    http: 400,
  },
  'cmp-version-refused': {
    title: 'This version of CMP is not supported',
    advice: 'Use pvno 2 or 3 (RFC 4210 or RFC 9480).',
    http: 400,
  },
  'cmp-protection-missing': {
    title: 'The CMP message has no protection',
    advice:
      'Protect it with the reference and the secret of flotilla token create --cmp, or with the signature of a certificate.',
    http: 401,
  },
  'cmp-protection-invalid': {
    title: 'The protection of the CMP message is not valid',
    advice:
      'Send the certificate whose key has signed the message as the first of extraCerts, and its subject as the sender.',
    http: 401,
  },
  'cmp-algorithm-refused': {
    title: 'The protection of the CMP message uses an algorithm that is not accepted',
    advice:
      'Use PBMAC1 or PasswordBasedMac with SHA-256 and few iterations, or a signature with SHA-256.',
    http: 400,
  },
  'cmp-time-refused': {
    title: 'The time of the CMP message is too far from the time of the service',
    advice: 'Set the clock of the device; compare it with the clock of the service.',
    http: 400,
  },
  'cmp-transaction-unknown': {
    title: 'The CMP message belongs to no open transaction',
    advice:
      'Send the first request again with a new transactionID: a certificate that was issued is sent again.',
    http: 409,
  },
  'cmp-transaction-used': {
    title: 'The transactionID of the CMP message is already used',
    advice: 'Use a new random transactionID for each transaction.',
    http: 409,
  },
  'cmp-certificate-mismatch': {
    title: 'The CMP message is about another certificate',
    advice: 'A device may confirm, update and revoke only its own certificate.',
    http: 403,
  },
  'cmp-revocation-refused': {
    title: 'Devices may not revoke their certificates here',
    advice: 'Ask an operator (flotilla device revoke), or set enroll.cmp.revocation.',
    http: 403,
  },
});
