/** Errors of the enrollment service. @module */
import { errors } from './error-spec.ts';

export const enrollErrors = errors({
  'request-invalid': {
    title: 'The request is not valid',
    advice: 'Correct the named field; /v1/openapi.json describes every call.',
    http: 400,
    exit: 2,
  },
  'request-too-large': {
    title: 'The request is too large',
    advice: 'Send a smaller body, or raise the named limit in flotilla.yaml.',
    http: 413,
  },
  'media-type-unsupported': {
    title: 'This media type is not supported',
    advice: 'Use the media type that is documented for the call.',
    http: 415,
  },
  'not-found': {
    title: 'There is no such resource',
    advice: 'Check the path and the method; /v1/openapi.json lists them all.',
    http: 404,
  },
  'too-many-requests': {
    title: 'Too many requests',
    advice: 'Wait for the time given in Retry-After, then send requests at a lower rate.',
    http: 429,
  },
  'client-certificate-required': {
    title: 'A client certificate is required',
    advice: 'Connect with a certificate that this service issued, and its key.',
    http: 401,
  },
  'client-certificate-untrusted': {
    title: 'The client certificate was not issued here',
    advice: 'Use a certificate of this fleet; if it was deleted from the registry, enroll again.',
    http: 403,
  },
  'client-certificate-expired': {
    title: 'The client certificate has expired or is not valid yet',
    advice: 'Renew it within the grace period, or enroll again with a token; check the clock.',
    http: 403,
  },
  'client-certificate-revoked': {
    title: 'The client certificate is no longer valid',
    advice: 'It was revoked or replaced: use the newer one, or enroll again with a new token.',
    http: 403,
  },
  'role-missing': {
    title: 'The role of this identity does not allow this',
    advice: 'Use a certificate with the named role; flotilla service create makes one.',
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
  'own-identity': {
    title: 'This would lock out the identity that makes the call',
    advice:
      'Use another administrator, or repeat the command with --own-identity (API: ?ownIdentity=true) if that is what you want.',
    http: 409,
  },
  'last-administrator': {
    title: 'This would lock out the last administrator',
    advice: 'Create another one first: flotilla service create --role admin --name NAME --out DIR.',
    http: 409,
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
    advice: 'Send the enrollment token, or ask an operator to enable enrollment with approval.',
    http: 401,
  },
  'enrollment-pending': {
    title: 'The enrollment waits for an operator',
    advice: 'Repeat the same request after the time in Retry-After.',
    http: 202,
  },
  'token-invalid': {
    title: 'This is not a valid enrollment token',
    advice:
      'Check that the whole token was copied, or create a new one with flotilla token create.',
    http: 401,
  },
  'token-expired': {
    title: 'The enrollment token has expired',
    advice: 'Create a new one with flotilla token create.',
    http: 401,
  },
  'token-used': {
    title: 'The enrollment token has been used',
    advice:
      'If another device used it, the token was stolen: revoke that device. Create a new one with flotilla token create.',
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
      'Use the device id as the only common name, or leave the subject empty; request no other names.',
    http: 400,
  },
  'server-name-refused': {
    title: 'The device may not have a name that its CSR requests',
    advice:
      'Request only names that serverNames of the enrollment profile allows, and none of the services.',
    http: 400,
  },
  'device-id-too-long': {
    title: 'This id is too long for a certificate',
    advice: 'Use at most 64 characters: a common name holds no more (RFC 5280, appendix A.1).',
    http: 400,
    exit: 2,
  },
  'key-type-refused': {
    title: 'This key type is not allowed',
    advice: 'Make a key of a type that the enrollment profile allows.',
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
    title: 'The enrollment profile requires a new key at each renewal',
    advice: 'Renew with a fresh key: flotilla device renew --rekey.',
    http: 409,
  },
  'device-not-found': {
    title: 'There is no such device',
    advice: 'Check the id; flotilla device list shows all devices.',
    http: 404,
  },
  'device-exists': {
    title: 'This device is enrolled already',
    advice: 'Use a token made for this device alone, or delete the device first.',
    http: 409,
  },
  'device-state-conflict': {
    title: 'The status of the device does not allow this',
    advice: 'Check its status with flotilla device show.',
    http: 409,
  },
  'identity-role-conflict': {
    title: 'This name belongs to an identity of another role',
    advice: 'Choose another name, or delete the other identity first.',
    http: 409,
  },
  'policy-role-unknown': {
    title: 'The policy has no such role',
    advice: 'Use one of the roles named, or add the role to the policy first.',
    http: 422,
  },
  'enrollment-denied': {
    title: 'An operator has denied this enrollment',
    advice: 'Ask the operator; a new request needs a new key.',
    http: 403,
  },
  'request-not-found': {
    title: 'There is no such pending request',
    advice:
      'It may have expired or been decided; flotilla request list shows all pending requests.',
    http: 404,
  },
  'profile-not-found': {
    title: 'The enrollment profile does not exist or is not allowed for this credential',
    advice: 'Use a profile of enroll.profiles that the token or the factory is for.',
    http: 404,
  },
  'factory-invalid': {
    title: "This cannot be a manufacturer's CA",
    advice:
      'Provide one PEM certificate: the root CA of the factory certificates or an intermediate CA. It must be valid now and have a supported key type.',
    http: 400,
  },
  'factory-not-found': {
    title: 'There is no such factory CA',
    advice: 'Check the name; flotilla factory list shows all factories.',
    http: 404,
  },
  'factory-certificate-refused': {
    title: 'This factory certificate may not enroll',
    advice:
      'Check that it and the CAs sent with it have not expired, that it is on the list of its factory CA, and that it names this device.',
    http: 403,
  },
  'hook-refused': {
    title: 'The enrollment was refused by the veto hook',
    advice: "The reason comes from the operator's own system.",
    http: 403,
  },
  'hook-failed': {
    title: 'The veto hook did not respond',
    advice: 'Try again later; the operator finds the cause in the log.',
    http: 503,
  },
  'external-ca-unavailable': {
    title: 'The external CA did not sign in time',
    advice:
      'Try again later; the operator finds the cause in the log, and the settings in enroll.externalCa.',
    http: 503,
  },
  'external-ca-refused': {
    title: 'The external CA refuses to sign this request',
    advice:
      'The operator compares enroll.externalCa (address, credentials) with what the CA logs, and the profile with what the CA allows.',
    http: 502,
  },
  'external-ca-answer-refused': {
    title: 'The external CA returned a certificate that this service does not accept',
    advice:
      'The operator corrects the profile at the CA: the key and name of the request, TLS client only, of the imported issuer, not longer than requested.',
    http: 502,
  },
  'operation-refused': {
    title: 'This operation is intentionally not supported',
    advice: 'Use simpleenroll with a key that the device generated itself.',
    http: 501,
    exit: null,
  },
  'renewal-too-early': {
    title: 'It is too early to renew this certificate',
    advice: 'Renew within the window that the enrollment profile gives.',
    http: 409,
  },
  'relay-proof-missing': {
    title: 'A relayed renewal with a new key needs a signature by the current key',
    advice:
      'Keep the key, or send as proof the signature of the current key over the CSR in DER (SHA-256; none for Ed25519), in base64.',
    http: 403,
    exit: null,
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
    title: 'Another request changed the registry at the same time',
    advice: 'Try again.',
    http: 409,
  },
  'registry-unavailable': {
    title: 'The registry could not be written',
    advice: 'Check the free space and the disk of the enrollment service; nothing was changed.',
    http: 503,
  },
  'registry-damaged': {
    title: 'The registry on the disk is damaged',
    advice: 'Restore the registry folder from a backup; do not edit it while the service runs.',
    exit: 1,
  },
  'registry-behind-audit': {
    title: 'The audit log contains changes that the registry has lost',
    advice:
      'Restore the registry from a newer backup. To continue without these changes, revocations among them, run flotilla init --accept-loss registry and compare the audit log.',
    exit: 1,
  },
  'registry-missing': {
    title: 'The registry is missing although the state folder was in use',
    advice:
      'Restore enroll/registry and enroll/audit from a backup. To begin with an empty registry, in which no device may connect, run flotilla init --accept-loss registry.',
    exit: 1,
  },
  'audit-behind-registry': {
    title: 'The audit log has lost lines that the registry has recorded',
    advice:
      'Restore the newest files of the audit log. To continue without these lines, run flotilla init --accept-loss audit.',
    exit: 1,
  },
  'audit-missing': {
    title: 'The audit log is missing although the registry has changes',
    advice:
      'Restore the audit log from a backup. To begin a new one, run flotilla init --accept-loss audit.',
    exit: 1,
  },
  'registry-locked': {
    title: 'The registry is in use by another process',
    advice: 'Stop the other enrollment service on this state folder first.',
    exit: 1,
  },
  'audit-damaged': {
    title: 'The audit log was modified',
    advice: 'Someone or something changed it: keep it as evidence and compare it with a backup.',
    exit: 1,
  },
  'ca-missing': {
    title: 'The certificate authority is incomplete',
    advice: 'Restore the named files from a backup, or start with an empty state folder.',
    exit: 1,
  },
  'ca-chain-broken': {
    title: 'An issuer in the state folder is not signed by the root in the state folder',
    advice:
      'Restore ca/root.pem and the issuers from the same backup; every client would refuse certificates of this issuer.',
    exit: 1,
  },
  'root-key-missing': {
    title: 'The private key of the root CA is missing',
    advice:
      'Copy ca/root.key.pem back for this operation, then remove it again; or let the root sign elsewhere: flotilla issuer request, then flotilla issuer import.',
    http: 409,
  },
  'issuer-not-found': {
    title: 'There is no such issuer',
    advice: 'Use the fingerprint of an issuer as flotilla issuer list shows it.',
    http: 404,
  },
  'issuer-in-use': {
    title: 'The issuer cannot be retired yet',
    advice:
      'Wait until no active certificate of it is left, or make another issuer the current one.',
    http: 409,
  },
  'issuer-being-replaced': {
    title: 'The issuer was withdrawn, and another one does not sign yet',
    advice:
      'Try again in some seconds. If it lasts, see flotilla ca status, and run flotilla issuer add with the key of the root.',
    http: 503,
    exit: 1,
  },
  'brokers-late': {
    title: 'Not every broker trusts the new issuer yet',
    advice:
      'Check the brokers that flotilla status names, then repeat the request: it continues where it stopped.',
    http: 503,
  },
  'root-expired': {
    title: 'The root CA has expired',
    advice:
      'Stop the service and create the next root with flotilla root rollover. Devices trust only the former one, so each needs a new token.',
    http: 503,
    exit: 1,
  },
  'root-in-use': {
    title: 'There is already another root beside the current one',
    advice:
      'Finish the change of roots first: see flotilla ca status; flotilla root retire removes a former root.',
    http: 409,
  },
  'root-not-found': {
    title: 'There is no such root',
    advice: 'Use the fingerprint of a root as flotilla ca status shows it.',
    http: 404,
  },
  'clock-before-release': {
    title: 'The clock is before the release of this software',
    advice:
      'Set the clock (for example, wait for NTP) and start again: a CA that is created now would be expired at the right time.',
    exit: 1,
  },
  'client-certificate-withdrawn': {
    title: 'The issuer of the client certificate was withdrawn',
    advice:
      'Renew the certificate if the service allows that (enroll.renewWithdrawn), otherwise enroll again with a new token.',
    http: 403,
  },
  'ca-passphrase-missing': {
    title: 'The passphrase of the certificate authority is missing',
    advice: 'Set FLOTILLA_CA_PASSPHRASE_FILE or FLOTILLA_CA_PASSPHRASE, or restore ca/passphrase.',
    exit: 1,
  },
  'simulator-missing': {
    title: 'This service cannot start simulations',
    advice:
      'Start it with flotilla up, or run flotilla sim run PLAN.yaml on a machine that reaches the broker.',
    http: 409,
  },
  'simulation-running': {
    title: 'A simulation is running',
    advice: 'Wait until it ends, or stop it, then start the next one.',
    http: 409,
  },
  'simulation-not-found': {
    title: 'There is no such simulation, or it has no report',
    advice: 'List the runs again: only the newest ones are kept.',
    http: 404,
  },
  'simulation-refused': {
    title: 'The plan cannot be run by the service',
    advice: 'Correct the plan, or run it with flotilla sim run, which has no such restriction.',
    http: 400,
  },
});
