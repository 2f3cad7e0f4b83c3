/**
 * The rules of a policy for one identity: with expanded topics, and only those that apply to its address.
 *
 * @module
 */
import { isIP } from 'node:net';
import { unmappedAddress } from '../ip-address.ts';
import { unmetByIdentity } from './identity-condition.ts';
import type { Standing } from './standing.ts';
import type { Action, AddressRanges, Policy, Role, Rule } from './policy-model.ts';
import { expandTemplate, parseTemplate, type TemplateValues } from './topic-template.ts';

/** The identity that a decision is about. */
export interface Subject extends TemplateValues {
  readonly standing: Standing;
  /** Undefined when unknown (in explanations): then rules with address ranges do not apply. */
  readonly remoteAddress: string | undefined;
}

/** A rule with its topics expanded to filters. */
export interface ExpandedRule {
  readonly rule: Rule;
  readonly filters: readonly string[];
  /** Topics that could not be expanded, and why. */
  readonly skipped: readonly { readonly template: string; readonly reason: string }[];
}

/** All rules that apply to a subject: to its address, group and attributes. */
export function rulesFor(policy: Policy, subject: Subject): readonly ExpandedRule[] {
  return rulesOf(policy, subject)
    .filter((rule) => unmetByIdentity(rule.when, subject) === undefined)
    .filter((rule) => rule.addresses === undefined || inRange(rule, subject.remoteAddress))
    .map((rule) => expandRule(rule, subject));
}

/** All rules of a subject, before conditions on address, group and attributes are checked. */
export function rulesOf(policy: Policy, subject: Subject): readonly Rule[] {
  if (subject.standing === 'quarantined') return [];
  if (subject.standing === 'renewal-only') return renewalRules;
  return policy.roles.get(subject.role)?.rules ?? [];
}

/** Expands one rule. */
export function expandRule(rule: Rule, values: TemplateValues): ExpandedRule {
  const filters: string[] = [];
  const skipped: { template: string; reason: string }[] = [];
  for (const template of rule.topics) {
    const expansion = expandTemplate(template, values);
    if ('filter' in expansion) {
      filters.push(expansion.filter);
    } else if ('missing' in expansion) {
      skipped.push({
        template: template.source,
        reason: `the identity has no ${expansion.missing}`,
      });
    } else if (rule.effect === 'deny') {
      // A deny rule with an unsafe value denies more, rather than nothing.
      filters.push(expansion.widened);
    } else {
      skipped.push({
        template: template.source,
        reason: `the value of ${expansion.unsafe} could change the meaning of a topic`,
      });
    }
  }
  return { rule, filters, skipped };
}

/** Whether the address of a subject is in the ranges of a rule. */
export function inRange(rule: { addresses: AddressRanges | undefined }, address?: string): boolean {
  if (rule.addresses === undefined) return true;
  if (address === undefined) return false;
  const plain = unmappedAddress(address);
  const version = isIP(plain);
  return version !== 0 && rule.addresses.list.check(plain, version === 6 ? 'ipv6' : 'ipv4');
}

/** The only permissions of an identity whose certificate expired within the grace period. */
const renewalRules: readonly Rule[] = [
  builtIn('renewal/request', ['publish'], '$fleet/certs/{device}/renew'),
  builtIn('renewal/answers', ['subscribe', 'receive'], '$fleet/certs/{device}/+'),
];

function builtIn(name: string, actions: readonly Action[], topic: string): Rule {
  const template = parseTemplate(topic);
  if (typeof template === 'string') throw new Error(template);
  return {
    name,
    effect: 'allow',
    actions: new Set(actions),
    topics: [template],
    qos: undefined,
    retain: undefined,
    payloadMinBytes: undefined,
    payloadMaxBytes: undefined,
    addresses: undefined,
    when: undefined,
  };
}

/** The role of a subject, if it is in the policy. */
export function policyRoleOf(policy: Policy, subject: Subject): Role | undefined {
  return policy.roles.get(subject.role);
}
