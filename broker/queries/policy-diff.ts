/**
 * What another policy would change for the sessions of this broker: the subscriptions that it would take
 * away.
 *
 * @module
 */
import type { BrokerLimits } from '../../core/config/limits.ts';
import type { BrokerAnswerOf } from '../../core/protocol/broker-query.ts';
import type { Policy } from '../../core/policy/policy-model.ts';
import { splitShared } from '../../core/topic.ts';
import type { AuthorizedSession } from '../contracts/session-inspection.ts';
import { PolicyAuthorizer } from '../policy/policy-authorizer.ts';

const lostMax = 1000;
/** How long other work waits at most, in ms. */
const turnMs = 5;

export async function policyDiff(
  sessions: Iterable<AuthorizedSession>,
  policy: Policy,
  limits: BrokerLimits,
): Promise<BrokerAnswerOf<'policy-diff'>> {
  const authorizer = new PolicyAuthorizer(policy, limits, 'close');
  const lost: BrokerAnswerOf<'policy-diff'>['lost'] = [];
  let total = 0;
  let subscriptions = 0;
  let turnEndMs = performance.now() + turnMs;
  for (const { clientId, identity, filters } of sessions) {
    for (const { filter, qos } of filters) {
      subscriptions++;
      const shared = splitShared(filter);
      const plain = shared === undefined || shared === 'malformed' ? filter : shared.filter;
      const verdict = authorizer.subscribe(identity, plain, qos);
      if (!verdict.allowed) {
        total++;
        if (lost.length < lostMax) {
          lost.push({ device: identity.id, clientId, filter, rule: verdict.rule ?? null });
        }
      }
      // A policy may have thousands of rules, and a session hundreds of filters.
      if (performance.now() < turnEndMs) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turnEndMs = performance.now() + turnMs;
    }
  }
  return { lost, total, subscriptions };
}
