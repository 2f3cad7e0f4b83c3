/**
 * The decisions of the policy, with rules that are expanded for one identity. Deny wins. What no rule
 * allows is denied.
 *
 * @module
 */
import type { ErrorCode } from '../errors/catalogue.ts';
import { filterContains, filtersOverlap, topicMatches } from '../topic.ts';
import type { Verdict } from './policy-verdict.ts';
import type { ClientIdRule, Rule } from './policy-model.ts';
import type { ExpandedRule } from './rules-for.ts';

/** The properties of a PUBLISH that a rule can have conditions on. */
export interface PublishFacts {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly payloadBytes: number;
}

/** The name of the rule when a built-in rule denied. */
export const builtInRule = 'built-in';

/**
 * Whether a topic is reserved for the broker, independent of the policy: `$SYS/` is closed to clients,
 * and below `$fleet/` a client may publish only on its own renewal topic.
 */
export function isReservedForPublish(topic: string, id: string): boolean {
  if (!topic.startsWith('$')) return false;
  if (isSystem(topic)) return true;
  return (
    (topic === '$fleet' || topic.startsWith('$fleet/')) && topic !== `$fleet/certs/${id}/renew`
  );
}

/** Whether a filter is in `$SYS/`. */
export function isReservedForSubscribe(filter: string): boolean {
  return isSystem(filter);
}

function isSystem(topic: string): boolean {
  return topic === '$SYS' || topic.startsWith('$SYS/');
}

/** The rules that match the topic of a PUBLISH, deny rules first. */
export function publishRules(rules: readonly ExpandedRule[], topic: string): readonly Rule[] {
  return inOrder(
    rules.filter(
      ({ rule, filters }) =>
        rule.actions.has('publish') && filters.some((filter) => topicMatches(filter, topic)),
    ),
  );
}

/** Decides about a PUBLISH, with the rules that match its topic. */
export function decidePublish(matching: readonly Rule[], facts: PublishFacts): Verdict {
  const rule = matching.find((candidate) => unmetCondition(candidate, facts) === undefined);
  return verdict(rule, 'publish-denied');
}

/** The first condition of a rule that a PUBLISH (or the QoS of a subscription) does not meet. */
export function unmetCondition(
  rule: Rule,
  facts: { qos: number; retain?: boolean; payloadBytes?: number },
): string | undefined {
  const { qos, retain, payloadMinBytes, payloadMaxBytes } = rule;
  if (qos !== undefined && !qos.has(facts.qos)) return `qos is one of ${[...qos].join(', ')}`;
  if (retain !== undefined && facts.retain !== undefined && facts.retain !== retain) {
    return `retain is ${String(retain)}`;
  }
  const bytes = facts.payloadBytes ?? 0;
  if (payloadMinBytes !== undefined && bytes < payloadMinBytes) {
    return `the payload has at least ${payloadMinBytes} bytes`;
  }
  if (payloadMaxBytes !== undefined && bytes > payloadMaxBytes) {
    return `the payload has at most ${payloadMaxBytes} bytes`;
  }
  return undefined;
}

/** Whether a rule has conditions, so that it can apply to some messages of a topic only. */
export function isConditional(rule: Rule): boolean {
  return (
    rule.qos !== undefined ||
    rule.retain !== undefined ||
    rule.payloadMinBytes !== undefined ||
    rule.payloadMaxBytes !== undefined
  );
}

/**
 * Decides about a subscription: one rule must allow every topic that the filter can match, and no rule
 * may deny any of them.
 */
export function decideSubscribe(
  rules: readonly ExpandedRule[],
  filter: string,
  qos: 0 | 1 | 2,
): Verdict {
  const matching = rules.filter(
    ({ rule, filters }) =>
      rule.actions.has('subscribe') &&
      unmetCondition(rule, { qos }) === undefined &&
      filters.some((own) =>
        rule.effect === 'deny' ? filtersOverlap(own, filter) : filterContains(own, filter),
      ),
  );
  return verdict(inOrder(matching)[0], 'subscribe-denied');
}

/**
 * Decides about a delivery: a rule must allow subscribing to the topic or receiving it, and no rule may
 * deny either.
 */
export function decideReceive(rules: readonly ExpandedRule[], topic: string): Verdict {
  const matching = rules.filter(
    ({ rule, filters }) => concernsDelivery(rule) && matchesOne(filters, topic),
  );
  return verdict(inOrder(matching)[0], 'receive-denied');
}

/** The result of {@link decideReceive}, without objects: a topic can have thousands of receivers. */
export function isReceiveAllowed(rules: readonly ExpandedRule[], topic: string): boolean {
  let isAllowed = false;
  for (const { rule, filters } of rules) {
    if (!concernsDelivery(rule) || !matchesOne(filters, topic)) continue;
    if (rule.effect === 'deny') return false;
    isAllowed = true;
  }
  return isAllowed;
}

/** Whether a rule decides about deliveries. */
function concernsDelivery(rule: Rule): boolean {
  if (!rule.actions.has('receive') && !rule.actions.has('subscribe')) return false;
  // Conditions on the QoS apply to the subscription, when it is made, and not to deliveries.
  return rule.effect === 'allow' || rule.qos === undefined;
}

function matchesOne(filters: readonly string[], topic: string): boolean {
  for (const filter of filters) if (topicMatches(filter, topic)) return true;
  return false;
}

/** Whether a client id belongs to an identity. */
export function clientIdAllowed(rule: ClientIdRule, id: string, clientId: string): boolean {
  if (rule === 'any') return clientId !== '';
  if (clientId === id) return true;
  return (
    rule === 'prefix' &&
    clientId.length > id.length + 1 &&
    clientId.startsWith(id) &&
    clientId.charCodeAt(id.length) === slash
  );
}
const slash = 47;

function inOrder(rules: readonly ExpandedRule[]): readonly Rule[] {
  const bare = rules.map(({ rule }) => rule);
  return [
    ...bare.filter(({ effect }) => effect === 'deny'),
    ...bare.filter(({ effect }) => effect === 'allow'),
  ];
}

function verdict(rule: Rule | undefined, code: ErrorCode): Verdict {
  return rule?.effect === 'allow'
    ? { allowed: true, rule: rule.name }
    : { allowed: false, code, rule: rule?.name };
}
