/**
 * What a credential allows: which group and profile, and for which identities. Pure.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { printable } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { isHeld } from '../registry/certificate-status.ts';
import type { DeviceRecord, TokenRecord } from '../registry/records.ts';
import type { Change, Stored } from '../registry/registry.ts';
import { actorOf } from './credentials.ts';
import type { FactoryAuthorization } from './factories.ts';
import { profileOf, type EnrollmentProfile } from './profiles.ts';
import { tokenName } from './tokens.ts';

/** A permission to enroll, after all checks of the credential. */
export interface Authorization {
  readonly way: 'token' | 'factory' | 'approval';
  /** For the audit log. */
  readonly actor: string;
  readonly group: string | null;
  /** The role in the policy that it gives; undefined: none. */
  readonly role?: string | undefined;
  readonly profile: EnrollmentProfile;
  /** Whether it may issue a certificate to an identity that has one. */
  readonly reenrolls: boolean;
  /** The factory CA that vouches for the device. */
  readonly factory?: string | undefined;
  /** Marks the credential as used; committed together with the certificate. */
  readonly change: Change;
}

/** @param row the device, if it exists. @throws FlotillaError `token-wrong-device`, `token-used`, `profile-not-found` */
export function authorizeToken(
  token: Stored<TokenRecord>,
  device: DeviceId,
  profile: () => EnrollmentProfile,
  row?: DeviceRecord,
): Authorization {
  if (token.device !== null && token.device !== device) {
    throw new FlotillaError('token-wrong-device');
  }
  if (token.uses >= token.usesMax) throw new FlotillaError('token-used');
  const { version, ...record } = token;
  return {
    way: 'token',
    actor: tokenName(token.hash),
    group: token.group,
    role: token.role,
    profile: profile(),
    reenrolls: token.device !== null || (token.reenrolls === true && row?.group === token.group),
    change: {
      puts: [{ table: 'tokens', record: { ...record, uses: token.uses + 1 }, expected: version }],
    },
  };
}

/** For a manufacturer whose devices need no approval. */
export function authorizeFactory(
  factory: FactoryAuthorization,
  profile: EnrollmentProfile,
  row: DeviceRecord | undefined,
): Authorization {
  const { name, takesOver } = factory.factory;
  return {
    way: 'factory',
    factory: name,
    actor: actorOf({ kind: 'factory', factory }),
    group: factory.factory.group,
    role: factory.factory.role,
    profile,
    // Another manufacturer's certificate, or one for a device that came with a token, proves nothing.
    reenrolls: takesOver === true || row?.factory === name,
    change: {},
  };
}

/** A factory certificate is for one device. @throws FlotillaError `factory-certificate-refused` */
export function assertFactoryDevice(factory: FactoryAuthorization, device: DeviceId): void {
  if (factory.device === device) return;
  throw new FlotillaError('factory-certificate-refused', { detail: `it is for ${factory.device}` });
}

/**
 * The profile of a credential. A request may name it as well, but no other one.
 *
 * @throws FlotillaError `profile-not-found`
 */
export function agreedProfile(
  config: Config,
  ofCredential: string | null,
  requested: string | undefined,
): EnrollmentProfile {
  if (ofCredential !== null && requested !== undefined && ofCredential !== requested) {
    throw new FlotillaError('profile-not-found', {
      detail: `${printable(requested)}; this credential is for ${ofCredential}`,
    });
  }
  return profileOf(config, ofCredential ?? requested);
}

/**
 * Whether an identity that exists may be enrolled again.
 *
 * @throws FlotillaError `identity-role-conflict`, `device-suspended`, `device-revoked`, `device-exists`
 */
export function assertMayEnroll(
  row: DeviceRecord | undefined,
  { way, reenrolls }: Authorization,
): void {
  if (row === undefined) return;
  const { id, role, status } = row;
  if (role !== 'device') throw new FlotillaError('identity-role-conflict', { detail: id });
  if (status === 'pending') return;
  if (isHeld(row)) throw new FlotillaError('device-suspended', { detail: id });
  if (status === 'revoked' && way === 'factory') {
    throw new FlotillaError('device-revoked', { detail: id });
  }
  if (!reenrolls) throw new FlotillaError('device-exists', { detail: id });
}
