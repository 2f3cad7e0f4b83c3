/**
 * Which names a device may have in its certificate. A device with names is also a server, for programs that trust the
 * issuer of such devices. Pure.
 *
 * Patterns have at most one `*`, so that matching takes linear time.
 *
 * @module
 */
import { isIP } from 'node:net';
import type { Csr } from '../../certs/csr.ts';
import { isEmptyNames, noNames, plainNames, type SubjectNames } from '../../certs/subject-names.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { printable } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { ipNetworks, isInNetworks } from '../../core/ip-networks.ts';
import { areOwnNames, assertCommonName } from './csr-checks.ts';
import type { EnrollmentProfile } from './profiles.ts';
import type { ReservedNames } from './service-names.ts';

/** Whose names they are, and which names nobody may have. */
export interface NamedDevice {
  readonly device: DeviceId;
  readonly profile: EnrollmentProfile;
  /** The names of the services. */
  readonly reserved: ReservedNames;
}

/**
 * The names in the certificate for a first request. A request with the device's own id as DNS name, as usual clients
 * write it, is one without names unless the profile allows that name.
 *
 * @throws FlotillaError `csr-name-mismatch`, `server-name-refused`
 */
export function namesForEnrollment(csr: Csr, of: NamedDevice): SubjectNames {
  const { names } = csr;
  assertCommonName(csr, of.device);
  for (const kind of ['dns', 'ip', 'uri'] as const) {
    for (const name of names[kind]) {
      const refusal = refusalOf(kind, name, of);
      if (refusal === undefined) continue;
      if (areOwnNames(csr, of.device)) return noNames;
      if (of.profile.serverNames === null) {
        throw new FlotillaError('csr-name-mismatch', { detail: `expected ${of.device}` });
      }
      throw new FlotillaError('server-name-refused', { detail: `${printable(name)}: ${refusal}` });
    }
  }
  return names;
}

/**
 * The names in the successor of a certificate: those that the request contains, otherwise those of the current
 * certificate that the profile still allows.
 *
 * @throws FlotillaError `csr-name-mismatch`, `server-name-refused`
 */
export function namesForRenewal(csr: Csr, current: SubjectNames, of: NamedDevice): SubjectNames {
  const wanted = namesForEnrollment(csr, of);
  if (!isEmptyNames(wanted)) return wanted;
  return {
    dns: current.dns.filter((name) => refusalOf('dns', name, of) === undefined),
    ip: current.ip.filter((name) => refusalOf('ip', name, of) === undefined),
    uri: current.uri.filter((name) => refusalOf('uri', name, of) === undefined),
  };
}

/** Why a name is refused; undefined when it is allowed. */
function refusalOf(
  kind: keyof SubjectNames,
  name: string,
  { device, profile, reserved }: NamedDevice,
): string | undefined {
  if (isReserved(kind, name, reserved)) return 'it is a name of the services';
  const { serverNames } = profile;
  const isAllowed =
    serverNames !== null &&
    (kind === 'ip'
      ? isInNetworks(name, ipNetworks(serverNames.ip))
      : serverNames[kind].some((pattern) => matches(kind, name, pattern, device)));
  return isAllowed ? undefined : `the profile ${profile.name} does not allow it`;
}

const loopback = ipNetworks(['127.0.0.0/8', '::1', '::ffff:127.0.0.0/104', '0.0.0.0', '::']);

/** The names of the services, also inside a URI, and what means the machine of the client itself. */
function isReserved(kind: keyof SubjectNames, name: string, reserved: ReservedNames): boolean {
  if (reserved.has(kind, name)) return true;
  switch (kind) {
    case 'ip':
      return isInNetworks(name, loopback);
    case 'dns':
      return name === 'localhost' || name.endsWith('.localhost');
    case 'uri': {
      const host = URL.canParse(name) ? new URL(name).hostname.replace(/^\[|\]$/g, '') : '';
      return (
        host !== '' && isReserved(isIP(host) === 0 ? 'dns' : 'ip', host.toLowerCase(), reserved)
      );
    }
  }
}

/** Linear: a text without `*` is compared, one with `*` at both ends. */
function matches(kind: 'dns' | 'uri', name: string, pattern: string, device: DeviceId): boolean {
  // Device ids have upper and lower case; DNS names are compared in lower case.
  const id = kind === 'dns' ? device.toLowerCase() : device;
  const [head = '', tail] = pattern.replaceAll('{id}', () => id).split('*');
  if (tail === undefined) return name === head;
  const middle = name.slice(head.length, name.length - tail.length);
  return (
    name.length > head.length + tail.length &&
    name.startsWith(head) &&
    name.endsWith(tail) &&
    (kind === 'uri' || !middle.includes('.'))
  );
}

/** The names of a certificate of a server as its row in the registry stores them. */
export function storedNames(names: SubjectNames = noNames): { readonly names?: readonly string[] } {
  return isEmptyNames(names) ? {} : { names: plainNames(names) };
}
