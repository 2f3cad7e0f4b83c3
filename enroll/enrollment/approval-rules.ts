/**
 * Decides which enrollment requests are approved by a rule of the configuration. Pure.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import { ipNetworks, isInNetworks } from '../../core/ip-networks.ts';

type Rule = Config['enroll']['approval']['autoApprove'][number];

export interface Applicant {
  readonly device: string;
  readonly remoteAddress: string;
  /** The name of the factory CA that issued its certificate; null: none. */
  readonly factory: string | null;
}

/** The index of the first rule whose conditions all match; undefined when there is none. */
export function approvingRule(rules: readonly Rule[], applicant: Applicant): number | undefined {
  const found = rules.findIndex((rule) => fits(rule, applicant));
  return found === -1 ? undefined : found;
}

function fits({ idPrefix, addresses, factory }: Rule, applicant: Applicant): boolean {
  // A rule without conditions would approve everyone, so it approves nobody.
  if (idPrefix === undefined && addresses === undefined && factory === undefined) return false;
  return (
    (idPrefix === undefined || applicant.device.startsWith(idPrefix)) &&
    (factory === undefined || applicant.factory === factory) &&
    (addresses === undefined || isInNetworks(applicant.remoteAddress, ipNetworks(addresses)))
  );
}
