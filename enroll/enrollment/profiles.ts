/**
 * Enrollment profiles: validity, key types and renewal rules for one kind of device.
 *
 * @module
 */
import { keyTypes, type KeyType } from '../../certs/key.ts';
import type { Config } from '../../core/config/config.ts';
import { printable } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

export const defaultProfileName = 'default';

/** Patterns of names. */
export type ServerNamePatterns = NonNullable<Config['enroll']['profiles'][string]['serverNames']>;

export interface EnrollmentProfile {
  readonly name: string;
  readonly validityMs: number;
  readonly keyTypes: readonly KeyType[];
  readonly renewalPart: number;
  readonly keyReuse: boolean;
  readonly overlap: 'until-seen' | 'until-end';
  readonly group: string | null;
  /** The role in the policy of its devices; null: the profile gives none. */
  readonly role: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  /** The names with which a device may also be a server; null: none. */
  readonly serverNames: ServerNamePatterns | null;
}

/** The profile with a name. @throws FlotillaError `profile-not-found` */
export function profileOf(config: Config, name = defaultProfileName): EnrollmentProfile {
  const usual: EnrollmentProfile = {
    name,
    validityMs: config.enroll.certificateValidity,
    keyTypes,
    renewalPart: 1,
    keyReuse: true,
    overlap: 'until-seen',
    group: null,
    role: null,
    attributes: {},
    serverNames: null,
  };
  const set = Object.hasOwn(config.enroll.profiles, name)
    ? config.enroll.profiles[name]
    : undefined;
  if (set === undefined) {
    if (name === defaultProfileName) return usual;
    throw new FlotillaError('profile-not-found', { detail: printable(name) });
  }
  const { validity, group, role, serverNames, ...rest } = set;
  return {
    ...usual,
    ...rest,
    validityMs: validity ?? usual.validityMs,
    group: group ?? null,
    role: role ?? null,
    serverNames: serverNames ?? null,
  };
}

/** Whether devices of any profile may also be servers. */
export function needsDeviceServers({ enroll }: Config): boolean {
  return Object.values(enroll.profiles).some(({ serverNames }) => serverNames !== undefined);
}

/** As {@link profileOf}, but the default profile when the name is no longer configured. */
export function profileOrDefault(config: Config, name: string): EnrollmentProfile {
  return Object.hasOwn(config.enroll.profiles, name) ? profileOf(config, name) : profileOf(config);
}
