/**
 * Explains a decision of the policy: which rule decided, how it was expanded, and which rule was the
 * closest to allowing the action. For operators; the broker itself uses the authorizer.
 *
 * @module
 */
import type { ErrorCode } from '../errors/catalogue.ts';
import {
  filterContains,
  filtersOverlap,
  topicFilterFault,
  topicMatches,
  topicNameFault,
} from '../topic.ts';
import {
  builtInRule,
  clientIdAllowed,
  decidePublish,
  decideReceive,
  decideSubscribe,
  isReservedForPublish,
  isReservedForSubscribe,
  publishRules,
  unmetCondition,
} from './decision.ts';
import { unmetByIdentity } from './identity-condition.ts';
import type { Action, Policy, Rule } from './policy-model.ts';
import { expandRule, inRange, policyRoleOf, rulesFor, rulesOf, type Subject } from './rules-for.ts';

/** The action to explain. Defaults: QoS 0, not retained, empty payload. */
export interface Question {
  readonly action: Action | 'connect';
  /** The topic; for `subscribe` the filter, for `connect` the client id. */
  readonly topic: string;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly payloadBytes?: number;
}

export interface Explanation {
  readonly allowed: boolean;
  /** The error code if it is denied. */
  readonly code: ErrorCode | undefined;
  /** The rule that decided; undefined when no rule matches. */
  readonly rule: string | undefined;
  /** The filter of that rule, expanded for this identity. */
  readonly expansion: string | undefined;
  /** One sentence. */
  readonly reason: string;
  /** When no rule matches: the rule that would allow it, and `because`, why it does not. */
  readonly nearest: { readonly rule: string; readonly because: string } | undefined;
}

/** Explains one decision. */
export function explain(policy: Policy, subject: Subject, question: Question): Explanation {
  const role = policyRoleOf(policy, subject);
  if (role === undefined) {
    return deny('role-unknown', undefined, `the policy has no role ${subject.role}`);
  }
  const { action, topic } = question;
  if (action === 'connect') {
    const rule = `${role.name} (client ids: ${role.clientIds})`;
    return clientIdAllowed(role.clientIds, subject.id, topic)
      ? allow(rule, undefined, `client ids of role ${role.name} are ${role.clientIds}`)
      : deny(
          'client-id-not-allowed',
          rule,
          `client ids of role ${role.name} are ${role.clientIds}`,
        );
  }
  const fault = action === 'subscribe' ? topicFilterFault(topic) : topicNameFault(topic);
  if (fault !== undefined) {
    return deny(codeOf(action), builtInRule, `this is not a valid topic (${fault})`);
  }
  if (
    action === 'publish' ? isReservedForPublish(topic, subject.id) : isReservedForSubscribe(topic)
  ) {
    return deny(
      'topic-reserved',
      builtInRule,
      'the topic is reserved for the broker, independent of the policy',
    );
  }
  return decided(policy, subject, { ...question, action });
}

function decided(
  policy: Policy,
  subject: Subject,
  question: Question & { readonly action: Action },
): Explanation {
  const rules = rulesFor(policy, subject);
  const { action, topic, qos = 0, retain = false, payloadBytes = 0 } = question;
  const verdict =
    action === 'publish'
      ? decidePublish(publishRules(rules, topic), { qos, retain, payloadBytes })
      : action === 'subscribe'
        ? decideSubscribe(rules, topic, qos)
        : decideReceive(rules, topic);
  const decider = rules.find(({ rule }) => rule.name === verdict.rule);
  const expansion = decider?.filters.find((filter) => concerns(decider.rule, filter, question));
  if (verdict.allowed) {
    return allow(verdict.rule, expansion, `rule ${verdict.rule} allows ${expansion ?? topic}`);
  }
  if (verdict.rule !== undefined) {
    return deny(verdict.code, verdict.rule, `rule ${verdict.rule} denies ${expansion ?? topic}`, {
      expansion,
    });
  }
  const standing = subject.standing;
  const reason =
    standing === 'full'
      ? `no rule of role ${subject.role} allows ${action} on ${topic}`
      : standing === 'quarantined'
        ? 'the identity is quarantined: no action is allowed'
        : 'the certificate has expired: only renewal is allowed';
  return deny(verdict.code, undefined, reason, { nearest: nearestRule(policy, subject, question) });
}

/**
 * The allow rule that comes closest: one that only fails a condition, otherwise the one whose filter has
 * the most topic levels in common.
 */
function nearestRule(
  policy: Policy,
  subject: Subject,
  question: Question & { readonly action: Action },
): Explanation['nearest'] {
  let best: { rule: string; because: string; score: number } | undefined;
  const consider = (rule: string, because: string, score: number): void => {
    if (best === undefined || score > best.score) best = { rule, because, score };
  };
  for (const rule of rulesOf(policy, { ...subject, standing: 'full' })) {
    if (rule.effect !== 'allow' || !actsOn(rule, question.action)) continue;
    const { filters, skipped } = expandRule(rule, subject);
    for (const filter of filters) {
      if (concerns(rule, filter, question)) {
        const { qos = 0, retain = false, payloadBytes = 0 } = question;
        const because =
          subject.standing !== 'full'
            ? `its standing is ${subject.standing}`
            : inRange(rule, subject.remoteAddress)
              ? (unmetByIdentity(rule.when, subject) ??
                unmetCondition(rule, { qos, retain, payloadBytes }) ??
                'a condition is met')
              : `the address is in ${rule.addresses?.source.join(', ') ?? ''}`;
        consider(rule.name, `it requires that ${because}`, 1000);
      } else {
        consider(rule.name, `it covers ${filter}`, levelsInCommon(filter, question.topic));
      }
    }
    for (const { template, reason } of skipped) {
      consider(
        rule.name,
        `${template} is not expanded: ${reason}`,
        levelsInCommon(template, question.topic),
      );
    }
  }
  return best === undefined ? undefined : { rule: best.rule, because: best.because };
}

function actsOn(rule: Rule, action: Action): boolean {
  return rule.actions.has(action) || (action === 'receive' && rule.actions.has('subscribe'));
}

function concerns(rule: Rule, filter: string, { action, topic }: Question): boolean {
  if (action !== 'subscribe') return topicMatches(filter, topic);
  return rule.effect === 'deny' ? filtersOverlap(filter, topic) : filterContains(filter, topic);
}

function levelsInCommon(filter: string, topic: string): number {
  const levels = topic.split('/');
  let common = 0;
  for (const level of filter.split('/')) {
    if (level !== levels[common] && level !== '+') break;
    common++;
  }
  return common;
}

function codeOf(action: Action): ErrorCode {
  return `${action}-denied`;
}

function allow(rule: string, expansion: string | undefined, reason: string): Explanation {
  return { allowed: true, code: undefined, rule, expansion, reason, nearest: undefined };
}

function deny(
  code: ErrorCode,
  rule: string | undefined,
  reason: string,
  more: Partial<Pick<Explanation, 'expansion' | 'nearest'>> = {},
): Explanation {
  return { allowed: false, code, rule, reason, expansion: more.expansion, nearest: more.nearest };
}
