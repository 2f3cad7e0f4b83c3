/** Errors of enroll. @module */
import { errors } from './error-spec.ts';

export const enrollErrors = errors({
  'request-invalid': {
    title: 'The request is not valid',
    advice: 'Correct what is named; /v1/openapi.json describes every call.',
    http: 400,
    exit: 2,
  },
  'request-too-large': {
    title: 'The request is too large',
    advice: 'Send less, or raise the limit named in flotilla.yaml.',
    http: 413,
  },
  'media-type-unsupported': {
    title: 'This media type is not understood here',
    advice: 'Send the media type that the call is documented with.',
    http: 415,
  },
  'not-found': {
    title: 'There is nothing here',
    advice: 'Check the path and the method; /v1/openapi.json lists them all.',
    http: 404,
  },
  'too-many-requests': {
    title: 'Too many requests',
    advice: 'Wait for the time given in Retry-After, then go on more slowly.',
    http: 429,
  },
  'client-certificate-required': {
    title: 'A client certificate is required',
    advice: 'Connect with a certificate that this service issued, and its key.',
    http: 401,
  },
  'client-certificate-untrusted': {
    title: 'The client certificate was not issued here',
    advice: 'Use a certificate of this fleet; if it was deleted from the registry, enroll anew.',
    http: 403,
  },
  'client-certificate-expired': {
    title: 'The client certificate has ended or has not begun',
    advice: 'Renew it within the grace period, or enroll anew with a token; check the clock.',
    http: 403,
  },
  'client-certificate-revoked': {
    title: 'The client certificate is no longer valid',
    advice: 'It was revoked or replaced: use the newer one, or enroll anew with a new token.',
    http: 403,
  },
  'role-missing': {
    title: 'This identity may not do that',
    advice: 'Use a certificate with the role named; flotilla service create makes one.',
    http: 403,
  },
  'sign-in-required': {
    title: 'Sign in first',
    advice: 'Open the console with flotilla console, or send an API key or a client certificate.',
    http: 401,
  },
  'sign-in-link-invalid': {
    title: 'This sign-in link is not valid',
    advice:
      'It was used already, or its time is over: have another one made with flotilla console --link.',
    http: 401,
  },
  'sign-in-failed': {
    title: 'The identity provider did not sign this person in',
    advice: 'Try again; if it fails again, check enroll.oidc and the claim that names the role.',
    http: 403,
  },
  'api-key-invalid': {
    title: 'This is not a valid API key',
    advice: 'It was deleted, or its time is over: have another one made with POST /v1/keys.',
    http: 401,
  },
  'operator-disabled': {
    title: 'This operator is disabled',
    advice: 'Ask an administrator to enable the operator: PUT /v1/operators/{name}.',
    http: 403,
  },
  'operator-not-found': {
    title: 'There is no such operator',
    advice: 'GET /v1/operators lists them all.',
    http: 404,
  },
  'api-key-not-found': {
    title: 'There is no such API key',
    advice: 'GET /v1/keys lists them all.',
    http: 404,
  },
  'request-origin-refused': {
    title: 'This request does not come from the console',
    advice: 'Use the console at its own address; scripts use an API key or a certificate.',
    http: 403,
  },
  'credentials-required': {
    title: 'This call needs a token or a certificate',
    advice: 'Send the enrollment token, or ask an operator to allow approval without one.',
    http: 401,
  },
  'enrollment-pending': {
    title: 'The enrollment waits for an operator',
    advice: 'Ask again with the same request after the time in Retry-After.',
    http: 202,
  },
  'token-invalid': {
    title: 'This is not a valid enrollment token',
    advice: 'Check that it was copied whole; else have a new one made: flotilla token create.',
    http: 401,
  },
  'token-expired': {
    title: 'The enrollment token has expired',
    advice: 'Have a new one made: flotilla token create.',
    http: 401,
  },
  'token-used': {
    title: 'The enrollment token has been used',
    advice:
      'If that was not this device, the token was stolen: revoke the device. Have a new one made: flotilla token create.',
    http: 409,
  },
  'token-wrong-device': {
    title: 'The enrollment token is for another device',
    advice: 'Enroll under the id that the token was made for.',
    http: 403,
  },
  'token-not-found': {
    title: 'There is no such token',
    advice: 'It may have been used up, expired or revoked.',
    http: 404,
  },
  'csr-name-mismatch': {
    title: 'The names in the CSR do not match the device',
    advice:
      'Use the device id as the only common name, or leave the subject empty; ask for no other names.',
    http: 400,
  },
  'device-id-too-long': {
    title: 'This id is too long for a certificate',
    advice: 'Use at most 64 characters: a common name holds no more (RFC 5280, appendix A.1).',
    http: 400,
    exit: 2,
  },
  'key-type-refused': {
    title: 'This kind of key is not allowed here',
    advice: 'Make a key of a type that the enrollment profile names.',
    http: 400,
  },
  'key-in-use': {
    title: 'Another identity already uses this key',
    advice: 'Make a new key on the device; a key must never be copied between devices.',
    http: 409,
  },
  'key-blocked': {
    title: 'This key was revoked as compromised',
    advice: 'Make a new key on the device, and find out how the old one leaked.',
    http: 409,
  },
  'key-reuse-refused': {
    title: 'The enrollment profile asks for a new key at each renewal',
    advice: 'Renew with a fresh key: flotilla device renew --rekey.',
    http: 409,
  },
  'device-not-found': {
    title: 'There is no such device',
    advice: 'Check the id; flotilla device list shows all.',
    http: 404,
  },
  'device-exists': {
    title: 'This device is enrolled already',
    advice: 'Use a token made for this device alone, or delete the device first.',
    http: 409,
  },
  'device-state-conflict': {
    title: 'The device is not in a state that allows this',
    advice: 'Look at it with flotilla device show, then choose what fits.',
    http: 409,
  },
  'identity-role-conflict': {
    title: 'This name belongs to an identity of another role',
    advice: 'Choose another name, or delete the other identity first.',
    http: 409,
  },
  'enrollment-denied': {
    title: 'An operator has refused this enrollment',
    advice: 'Ask the operator; a new request needs a new key.',
    http: 403,
  },
  'request-not-found': {
    title: 'There is no such pending request',
    advice: 'It may have expired or been decided; flotilla request list shows all.',
    http: 404,
  },
  'profile-not-found': {
    title: 'There is no such enrollment profile, or not for this credential',
    advice: 'Use a name that stands under enroll.profiles, and that the token or factory is for.',
    http: 404,
  },
  'factory-invalid': {
    title: "This cannot be a manufacturer's CA",
    advice:
      'Give one certificate, PEM: the root of the factory certificates, or a CA between; good now, with a key of a known kind.',
    http: 400,
  },
  'factory-not-found': {
    title: 'There is no such factory CA',
    advice: 'GET /v1/factories lists them all.',
    http: 404,
  },
  'factory-certificate-refused': {
    title: 'This factory certificate may not enroll',
    advice:
      'Check that it and the CAs shown with it have not ended, that it is on the list of its factory CA, and names this device.',
    http: 403,
  },
  'hook-refused': {
    title: 'The enrollment was refused by the veto hook',
    advice: "The reason given is that of the operator's own system.",
    http: 403,
  },
  'hook-failed': {
    title: 'The veto hook did not answer',
    advice: 'Try again later; the operator finds the cause in the log.',
    http: 503,
  },
  'operation-refused': {
    title: 'This operation is refused here on purpose',
    advice: 'Use simpleenroll with a key that the device made itself.',
    http: 501,
  },
  'renewal-too-early': {
    title: 'It is too early to renew this certificate',
    advice: 'Renew within the window that the enrollment profile gives.',
    http: 409,
  },
  'relay-proof-missing': {
    title: 'A relayed renewal with a new key needs the word of the old one',
    advice:
      'Keep the key, or send as proof the signature (SHA-256; none for Ed25519) of the current key over the CSR in DER, base64.',
    http: 403,
  },
  'version-conflict': {
    title: 'Somebody else changed this in the meantime',
    advice: 'Read it again, apply the change to the new version, and send its ETag in If-Match.',
    http: 412,
  },
  'idempotency-key-reused': {
    title: 'This Idempotency-Key was used for another request',
    advice: 'Use a new key for each request, and the same key only to repeat it unchanged.',
    http: 422,
  },
  'broker-not-connected': {
    title: 'No such broker is connected to the service',
    advice:
      'GET /v1/brokers lists the brokers; check that the one named runs and reaches the service.',
    http: 503,
  },
  'broker-no-answer': {
    title: 'The broker did not answer in time',
    advice: 'Try again; a broker of an older version does not know every question.',
    http: 504,
  },
  'message-denied': {
    title: 'The policy does not allow this',
    advice:
      'Add a rule for the role named, or use another topic; POST /v1/policy/explain says which rule decides.',
    http: 403,
  },
  'registry-conflict': {
    title: 'Something else changed the registry at the same moment',
    advice: 'Try again.',
    http: 409,
  },
  'registry-unavailable': {
    title: 'The registry could not be written',
    advice: 'Check free space and the disk of the enrollment service; nothing was changed.',
    http: 503,
  },
  'registry-damaged': {
    title: 'The registry on the disk is damaged',
    advice: 'Restore the registry folder from a backup; do not edit it while the service runs.',
  },
  'registry-locked': {
    title: 'The registry is in use by another process',
    advice: 'Stop the other enrollment service on this state folder first.',
  },
  'audit-damaged': {
    title: 'The audit log is not what was written',
    advice: 'Someone or something changed it: keep it as evidence and compare with a backup.',
  },
  'ca-missing': {
    title: 'The certificate authority is incomplete',
    advice: 'Restore the files named from a backup, or start on an empty state folder.',
  },
  'root-key-missing': {
    title: 'The key of the root is not here',
    advice: 'Bring ca/root.key.pem back for as long as this takes, then take it away again.',
    http: 409,
  },
  'issuer-not-found': {
    title: 'There is no such issuer',
    advice: 'Give the fingerprint of an issuer as flotilla status shows it.',
    http: 404,
  },
  'issuer-in-use': {
    title: 'The issuer cannot be retired yet',
    advice:
      'Wait until no active certificate of it is left, or make another issuer the current one.',
    http: 409,
  },
  'brokers-late': {
    title: 'Not every broker trusts the new issuer yet',
    advice: 'Check the brokers that flotilla status names, then ask again: it goes on from there.',
    http: 503,
  },
  'ca-passphrase-missing': {
    title: 'The passphrase of the certificate authority is missing',
    advice: 'Set FLOTILLA_CA_PASSPHRASE_FILE or FLOTILLA_CA_PASSPHRASE, or restore ca/passphrase.',
  },
});
