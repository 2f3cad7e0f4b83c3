/**
 * The names of roles in the policy, and which of them an operator may give to an identity.
 *
 * Each identity has a kind: device, service, admin, broker or server. Its role in the policy is its kind,
 * unless an operator gave it another one. The names of kinds are reserved: a device with the role `service`
 * could command the fleet, one with the role `admin` could speak for any device.
 *
 * @module
 */
import { z } from 'zod';

/** What a role is called: as in the policy file. */
export const roleNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'not a role name');

/** The roles that only the kind of an identity gives. */
const kindRoles: ReadonlySet<string> = new Set(['admin', 'broker', 'server', 'service']);

/** Whether an identity of a kind may have a role of the policy. Only devices and services may have another one. */
export function mayHaveRole(kind: string, role: string): boolean {
  if (role === kind) return true;
  return (kind === 'device' || kind === 'service') && !kindRoles.has(role);
}

/** A role that an operator gives to a device. */
export const deviceRoleSchema = roleNameSchema.refine((role) => mayHaveRole('device', role), {
  error: 'this role belongs to the system: a device cannot have it',
});

/** A role that an operator gives to a backend. */
export const serviceRoleSchema = roleNameSchema.refine((role) => mayHaveRole('service', role), {
  error: 'this role belongs to the system: a service cannot have it',
});
