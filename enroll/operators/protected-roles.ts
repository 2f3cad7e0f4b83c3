/**
 * The roles of identities that are not devices. Only an administrator changes them, one at a time.
 *
 * @module
 */
import { serviceRoles } from '../../core/protocol/enrollment-api.ts';
import { operatorRoles } from '../../core/protocol/operator-role.ts';

export const protectedRoles: ReadonlySet<string> = new Set([...serviceRoles, ...operatorRoles]);
