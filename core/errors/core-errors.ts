/** Errors of core: identity, configuration, files, network. @module */
import { errors } from './error-spec.ts';

export const coreErrors = errors({
  'device-id-invalid': {
    title: 'This is not a device id',
    advice:
      'Use 1 to 128 characters: a letter or digit, then letters, digits, dot, underscore, colon or hyphen.',
    http: 400,
    exit: 2,
  },
  'device-suspended': {
    title: 'The identity is suspended',
    advice: 'An operator can reactivate it with flotilla device resume.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'device-revoked': {
    title: 'The identity is revoked',
    advice: 'Enroll the device again with a new key and a new token if it is allowed to return.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'duration-invalid': {
    title: 'This is not a duration',
    advice: 'Write a number and a unit, like 30s, 15m, 24h or 90d.',
    http: 400,
    exit: 2,
  },
  'config-unreadable': {
    title: 'The configuration file cannot be read',
    advice: 'Check the path, the permissions and the YAML syntax at the given position.',
    exit: 2,
  },
  'config-invalid': {
    title: 'The configuration is not valid',
    advice: 'Correct the named setting; docs/configuration.md lists all settings.',
    exit: 2,
  },
  'file-too-open': {
    title: 'A secret file is readable by other users',
    advice: 'Run chmod 600 on it (700 on its folder); if the secret was exposed, replace it.',
    exit: 1,
  },
  'file-writable-by-others': {
    title: 'Other users can change a file or folder of the state',
    advice: 'Run chmod go-w on it, and compare its content with a backup.',
    exit: 1,
  },
  'file-owner-differs': {
    title: 'A file or folder belongs to another user than the state folder',
    advice:
      'Run chown with the user of the service, which may be unable to use the file otherwise.',
    exit: 1,
  },
  'leftover-file': {
    title: 'An interrupted write has left a temporary file',
    advice: 'Delete it while nothing runs on the state folder; its content is never used.',
    exit: 1,
  },
  'file-write-failed': {
    title: 'A file could not be written',
    advice: 'Check the free space and the permissions; nothing was changed.',
    http: 503,
  },
  'file-inaccessible': {
    title: 'A file or folder cannot be used',
    advice: 'Check the path, its owner and permissions, and the free space.',
    exit: 1,
  },
  'state-missing': {
    title: 'There is no Flotilla state in this folder',
    advice: 'Run flotilla init or flotilla up first, or specify the folder with --state.',
    exit: 2,
  },
  'service-address-invalid': {
    title: 'This is not the address of a service',
    advice: 'Specify a URL that begins with https://, like https://flotilla.example:8443.',
    exit: 2,
  },
  'fingerprint-invalid': {
    title: 'This is not a fingerprint',
    advice:
      'Copy the whole root fingerprint: sha256: and 64 hexadecimal digits, as flotilla token create prints it.',
    exit: 2,
  },
  'credentials-unusable': {
    title: 'The certificate or the key cannot be used',
    advice: 'Check that both files are complete PEM files and belong together.',
    exit: 1,
  },
  'credentials-refused': {
    title: 'The service rejected the client certificate',
    advice:
      'Check that it has not expired or been revoked, and that this fleet issued it; otherwise enroll again.',
    exit: 1,
  },
  'service-unreachable': {
    title: 'The service cannot be reached',
    advice: 'Check that the service is running, its address and the firewall, then try again.',
    http: 503,
  },
  'service-untrusted': {
    title: 'The service did not prove its identity',
    advice:
      'Compare the fingerprint with the one that flotilla status prints on the server; do not continue if they differ.',
    exit: 1,
  },
  'service-name-mismatch': {
    title: "The service's certificate is not valid for this name",
    advice:
      'Connect by one of the names in the certificate, or add this name to names in flotilla.yaml on the server and restart it.',
    exit: 1,
  },
  'service-answer-invalid': {
    title: 'The service sent an invalid response',
    advice: 'Check that the address is that of a Flotilla enrollment service of the same version.',
    exit: 1,
  },
  'start-failed': {
    title: 'A service could not start',
    advice: 'See the cause above; everything that had started was stopped again.',
    exit: 1,
  },
  'address-in-use': {
    title: 'The address is in use',
    advice: 'Choose another port (0 means any free port), or stop the program that uses it.',
    exit: 1,
  },
  internal: {
    title: 'An internal error occurred in Flotilla',
    advice: 'The log contains the details; please report the error.',
    http: 500,
    mqtt5: 0x83,
  },
});
