/**
 * Names that the system uses itself. A device that had one of them could be mistaken for a part of the
 * system: by its role after a restart, in the audit log, or by a client that checks the server's name.
 *
 * @module
 */
import { enrollmentServerName } from '../../core/protocol/https-client.ts';
import { isOperatorRole } from '../../core/protocol/operator-role.ts';
import type { Registry } from './registry.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** The broker of the state folder; others have names that an operator chose. */
export const ownBrokerName = 'broker';

/** The only role that an identity with the name may have; undefined: nobody may have the name. */
const reserved: ReadonlyMap<string, string | undefined> = new Map([
  ['admin', 'admin'],
  [ownBrokerName, 'broker'],
  // The common name of the enrollment service's own certificate.
  [enrollmentServerName, undefined],
  // Actors of the audit log.
  ['anonymous', undefined],
  ['system', undefined],
  ['unknown', undefined],
]);

/** Prefixes of actors in the audit log. */
const actorPrefixes = /^(?:factory|oidc|rule|token):/;

/** Whether an identity of a role may have a name. Upper and lower case make no difference. */
export function isNameAllowed(id: string, role: string): boolean {
  const name = id.toLowerCase();
  return reserved.has(name)
    ? id === name && reserved.get(name) === role
    : !actorPrefixes.test(name);
}

/** @throws FlotillaError `identity-role-conflict` when the name is reserved for another role */
export function assertNameAllowed(id: string, role: string): void {
  if (isNameAllowed(id, role)) return;
  throw new FlotillaError('identity-role-conflict', { detail: `${id} is a reserved name` });
}

/**
 * Checks that a name is not reserved, and not that of an operator who has no certificate: the audit log could not
 * distinguish them.
 *
 * @throws FlotillaError `identity-role-conflict`
 */
export async function assertNameFree(
  id: string,
  role: string,
  registry: Pick<Registry, 'get'>,
): Promise<void> {
  assertNameAllowed(id, role);
  if (isOperatorRole(role) || (await registry.get('operators', id)) === undefined) return;
  throw new FlotillaError('identity-role-conflict', { detail: `${id} is the name of an operator` });
}
