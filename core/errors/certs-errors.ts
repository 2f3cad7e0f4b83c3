/** Errors of certs: requests, certificates, the authority. @module */
import { errors } from './error-spec.ts';

export const certsErrors = errors({
  'csr-too-large': {
    title: 'The certificate signing request is too large',
    advice: 'Send one PKCS#10 request of at most 16 KiB.',
    http: 413,
  },
  'csr-malformed': {
    title: 'This is not a certificate signing request',
    advice:
      'Send PKCS#10 in DER, PEM or base64, as openssl req -new makes it; the encoding must be strict DER.',
    http: 400,
  },
  'csr-key-unsupported': {
    title: 'A key of this kind is not accepted',
    advice:
      'Make a new key: P-256 or P-384 (by name, uncompressed), Ed25519, or RSA with 2048, 3072 or 4096 bits and exponent 65537.',
    http: 400,
  },
  'csr-algorithm-unsupported': {
    title: 'The request is signed with an algorithm that is not accepted for its key',
    advice: 'Sign with SHA-256, SHA-384 or SHA-512 (ECDSA, or RSA PKCS#1 v1.5), or with Ed25519.',
    http: 400,
  },
  'csr-signature-invalid': {
    title: 'The request is not signed by the key that it asks a certificate for',
    advice: 'Make the request again with the private key of the same pair.',
    http: 400,
  },
  'csr-name-invalid': {
    title: 'The request asks for a name that cannot be in a certificate',
    advice:
      'Use one common name that is a device id, and only DNS names, IP addresses and URIs as alternative names.',
    http: 400,
  },
  'subject-name-invalid': {
    title: 'This is not a DNS name, IP address or URI that a certificate can have',
    advice: 'Write a host name without wildcards, an IPv4 or IPv6 address, or an absolute URI.',
    http: 400,
    exit: 2,
  },
  'certificate-subject-invalid': {
    title: 'This cannot be the name of a certificate',
    advice: 'Use a device id; for a CA 1 to 64 characters without control characters.',
    http: 400,
    exit: 2,
  },
  'certificate-unreadable': {
    title: 'The certificate cannot be read',
    advice: 'Check that the file is one X.509 certificate in PEM or DER, strictly encoded.',
    http: 400,
  },
  'certificate-cn-missing': {
    title: 'The certificate has no common name',
    advice:
      'Enroll the device again; a device certificate has exactly one common name, the device id.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-cn-multiple': {
    title: 'The certificate has more than one common name',
    advice:
      'Enroll the device again; a device certificate has exactly one common name, the device id.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-cn-invalid': {
    title: 'The common name of the certificate is not a device id',
    advice:
      'Enroll the device again under an id of letters, digits, dot, underscore, colon and hyphen.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'ca-passphrase-wrong': {
    title: 'The passphrase does not decrypt the CA key',
    advice: 'Check the passphrase file or FLOTILLA_CA_PASSPHRASE; the key itself was not changed.',
    exit: 1,
  },
  'ca-key-unreadable': {
    title: 'The CA key file is damaged or is not an encrypted key',
    advice: 'Restore it from a backup: an ENCRYPTED PRIVATE KEY in PEM.',
    exit: 1,
  },
  'ca-token-failed': {
    title: 'The token with the CA key cannot be used',
    advice:
      'Check that the token is connected, and the PKCS#11 URI in the key file: token, object, module-path and the PIN.',
    http: 503,
    exit: 1,
  },
  'ca-key-unsupported': {
    title: 'This key cannot be the key of a CA',
    advice: 'Use a private key: P-256, P-384, Ed25519, or RSA with 2048, 3072 or 4096 bits.',
    exit: 1,
  },
  'ca-key-mismatch': {
    title: 'The CA key does not belong to the CA certificate',
    advice: 'Restore key and certificate of the same CA from a backup.',
    exit: 1,
  },
  'ca-certificate-invalid': {
    title: 'This is not the certificate of a CA',
    advice: 'Use a certificate with CA:TRUE and a subject key identifier.',
    exit: 1,
  },
  'ca-expired': {
    title: 'The issuing CA has expired',
    advice:
      'Create a new issuer with flotilla issuer add; certificates that were issued before are not changed.',
    http: 503,
  },
  'crl-malformed': {
    title: 'The certificate revocation list cannot be read',
    advice: 'Fetch it again; it must be a version 2 list in DER.',
  },
  'crl-untrusted': {
    title: 'The certificate revocation list is not from this CA',
    advice: 'Check which CA the list belongs to, and where it came from.',
  },
  'ocsp-request-malformed': {
    title: 'This is not an OCSP request',
    advice: 'Send one OCSPRequest in DER by POST, or in base64 in the path by GET.',
    http: 400,
    exit: null,
  },
  'pkcs7-malformed': {
    title: 'This is not a PKCS#7 certificate bundle',
    advice: 'Send a certs-only PKCS#7 message (SignedData without signers) in DER.',
    http: 400,
  },
});
