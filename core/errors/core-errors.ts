/** Errors of the ground floor: identity, configuration, files, network. @module */
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
    advice: 'An operator can let it in again: flotilla device resume.',
    http: 403,
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'device-revoked': {
    title: 'The identity is revoked',
    advice: 'Enroll it again with a new key and a new token, if it may return.',
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
    advice: 'Check the path, the permissions and the YAML syntax at the place named.',
    exit: 2,
  },
  'config-invalid': {
    title: 'The configuration is not valid',
    advice: 'Correct the setting named; docs/configuration.md lists them all.',
    exit: 2,
  },
  'file-too-open': {
    title: 'A secret file can be read by others',
    advice: 'Run chmod 600 on it (700 on its folder); if it was exposed, make a new one.',
  },
  'file-write-failed': {
    title: 'A file could not be written',
    advice: 'Check free space and permissions; nothing was changed.',
    http: 503,
  },
  'state-missing': {
    title: 'There is no Flotilla state here',
    advice: 'Run flotilla init or flotilla up first, or name the folder with --state.',
    exit: 2,
  },
  'service-address-invalid': {
    title: 'This is not the address of a service',
    advice: 'Give a URL that begins with https://, like https://flotilla.example:8443.',
    exit: 2,
  },
  'fingerprint-invalid': {
    title: 'This is not a fingerprint',
    advice:
      'Copy the root fingerprint whole: sha256: and 64 hexadecimal digits, as flotilla token create prints it.',
    exit: 2,
  },
  'credentials-unusable': {
    title: 'The certificate or the key cannot be used',
    advice: 'Check that both files are whole, are PEM, and belong together.',
  },
  'credentials-refused': {
    title: 'The service refused our certificate',
    advice:
      'Check that it is not expired or revoked and comes from the same root; if it is, enroll again.',
  },
  'service-unreachable': {
    title: 'The service cannot be reached',
    advice: 'Check that it runs, the address, and the firewall; then try again.',
    http: 503,
  },
  'service-untrusted': {
    title: 'The service did not prove its identity',
    advice:
      'Compare the fingerprint with the one that flotilla status prints on the server; do not go on if they differ.',
  },
  'service-name-mismatch': {
    title: "The service's certificate is not valid for this name",
    advice:
      'Connect by one of the names in the certificate, or add this name to names in flotilla.yaml on the server and restart it.',
  },
  'service-answer-invalid': {
    title: 'The service gave an answer that cannot be understood',
    advice: 'Check that the address is that of a Flotilla enrollment service of the same version.',
  },
  'start-failed': {
    title: 'A service could not start',
    advice: 'Read the cause above; what had started has been stopped again.',
  },
  'address-in-use': {
    title: 'The address is in use',
    advice: 'Choose another port (0 takes any free one), or stop the program that holds it.',
  },
  internal: {
    title: 'Something failed inside Flotilla',
    advice: 'The log has the details under this request; please report it.',
    http: 500,
    mqtt5: 0x83,
  },
});
