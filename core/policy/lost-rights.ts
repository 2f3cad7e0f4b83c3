/**
 * Warnings about a policy that is valid and takes rights away which most fleets need. A policy file replaces the default
 * policy completely, so that a short example takes them from backends and renewals.
 *
 * @module
 */
import { explain } from './explanation.ts';
import type { Policy } from './policy-model.ts';

/** One sentence for each right that is missing. */
export function lostRights(policy: Policy): readonly string[] {
  const id = 'example';
  const subject = {
    ...({ id, group: null, attributes: {}, standing: 'full', remoteAddress: undefined } as const),
  };
  const warnings: string[] = [];
  const renew = { action: 'publish', topic: `$fleet/certs/${id}/renew` } as const;
  if (!explain(policy, { ...subject, role: 'device' }, renew).allowed) {
    warnings.push(
      'The role device may not publish to $fleet/certs/{device}/renew: devices cannot renew over MQTT.',
    );
  }
  const role = policy.roles.get('service');
  if (role === undefined || !role.rules.some(({ effect }) => effect === 'allow')) {
    warnings.push(
      'The role service has no rule that allows anything: backends can neither publish nor subscribe.',
    );
  }
  return warnings;
}
