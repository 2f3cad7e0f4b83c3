/**
 * The roles of the people and programs that use the API.
 *
 * A viewer reads. An operator also changes devices, tokens and approvals, and publishes. An administrator
 * also changes what protects the fleet: authorities, factories, the policy, services and operators.
 *
 * @module
 */
export const operatorRoles = ['viewer', 'operator', 'admin'] as const;
export type OperatorRole = (typeof operatorRoles)[number];

/** Whether a text is the name of a role. */
export function isOperatorRole(text: string): text is OperatorRole {
  return operatorRoles.some((role) => role === text);
}

/** Whether a role includes everything that another one may do. */
export function includesRole(held: OperatorRole, required: OperatorRole): boolean {
  return operatorRoles.indexOf(held) >= operatorRoles.indexOf(required);
}

/** The less powerful of two roles. */
export function lesserRole(one: OperatorRole, other: OperatorRole): OperatorRole {
  return includesRole(one, other) ? other : one;
}
