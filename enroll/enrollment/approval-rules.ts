/**
 * Which requests are let in without an operator. Pure.
 *
 * @module
 */
import { BlockList, isIP } from 'node:net';
import type { Config } from '../../core/config/config.ts';

type Rule = Config['enroll']['approval']['autoApprove'][number];

export interface Applicant {
  readonly device: string;
  readonly remoteAddress: string;
  /** The name of the factory CA that vouches; null: nobody. */
  readonly factory: string | null;
}

/** The number of the first rule that fits in all that it names; undefined when none does. */
export function approvingRule(rules: readonly Rule[], applicant: Applicant): number | undefined {
  const found = rules.findIndex((rule) => fits(rule, applicant));
  return found === -1 ? undefined : found;
}

function fits({ idPrefix, addresses, factory }: Rule, applicant: Applicant): boolean {
  // A rule that names nothing would let in everyone: it lets in nobody.
  if (idPrefix === undefined && addresses === undefined && factory === undefined) return false;
  return (
    (idPrefix === undefined || applicant.device.startsWith(idPrefix)) &&
    (factory === undefined || applicant.factory === factory) &&
    (addresses === undefined || isWithin(applicant.remoteAddress, addresses))
  );
}

function isWithin(address: string, networks: readonly string[]): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  const list = new BlockList();
  for (const network of networks) {
    const [base = '', bits] = network.split('/');
    const kind = isIP(base) === 6 ? 'ipv6' : 'ipv4';
    if (isIP(base) === 0) continue;
    if (bits === undefined) list.addAddress(base, kind);
    else list.addSubnet(base, Number(bits), kind);
  }
  return list.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
