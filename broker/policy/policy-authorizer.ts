/**
 * Authorizes the actions of clients by the policy in force. Decisions are cached per identity and topic,
 * in caches of limited size. A cached decision costs two lookups.
 *
 * @module
 */
import type { BrokerLimits } from '../../core/config/limits.ts';
import type { Authorizer, SessionLimits } from '../contracts/authorizer.ts';
import type { Verdict } from '../../core/policy/policy-verdict.ts';
import type { Identity } from '../contracts/identity.ts';
import {
  builtInRule,
  clientIdAllowed,
  decidePublish,
  decideSubscribe,
  isConditional,
  isReceiveAllowed,
  isReservedForPublish,
  isReservedForSubscribe,
  publishRules,
} from '../../core/policy/decision.ts';
import type { Policy, Rule } from '../../core/policy/policy-model.ts';
import { CacheRoom, DecisionCache } from './decision-cache.ts';
import { rulesFor, type ExpandedRule, type Subject } from '../../core/policy/rules-for.ts';

/** The cached decisions for the identity of one connection. */
interface Decisions {
  readonly version: number;
  readonly entry: Identity['entry'];
  readonly standing: Identity['standing'];
  readonly rules: readonly ExpandedRule[];
  readonly limits: SessionLimits;
  readonly publish: DecisionCache<Verdict | readonly Rule[]>;
  readonly receive: DecisionCache<boolean>;
}

export class PolicyAuthorizer implements Authorizer {
  #policy: Policy;
  #version = 1;
  readonly #onDenied: 'close' | 'drop';
  readonly #limits: BrokerLimits;
  readonly #caches = new WeakMap<Identity, Decisions>();
  readonly #cacheRoom = new CacheRoom();
  /** Thousands of connections share the limits of a role. `undefined`: roles not in the policy. */
  readonly #limitsByRole = new Map<string | undefined, SessionLimits>();
  /** How often each rule denied an action; `none`: no rule matched. */
  readonly deniedByRule = new Map<string, number>();

  constructor(policy: Policy, limits: BrokerLimits, onDenied: 'close' | 'drop') {
    this.#policy = policy;
    this.#limits = limits;
    this.#onDenied = onDenied;
  }

  get version(): number {
    return this.#version;
  }

  get policy(): Policy {
    return this.#policy;
  }

  get onDenied(): 'close' | 'drop' {
    return this.#policy.onDenied ?? this.#onDenied;
  }

  /** Puts another policy in force. The caller must reauthorize the live connections. */
  replace(policy: Policy): void {
    this.#policy = policy;
    this.#version++;
    this.#limitsByRole.clear();
  }

  connect(identity: Identity, clientId: string): Verdict {
    const role = this.#policy.roles.get(identity.entry.role);
    if (role === undefined) return { allowed: false, code: 'role-unknown', rule: undefined };
    const rule = `${role.name} (client ids: ${role.clientIds})`;
    return clientIdAllowed(role.clientIds, identity.id, clientId)
      ? { allowed: true, rule }
      : { allowed: false, code: 'client-id-not-allowed', rule };
  }

  publish(
    identity: Identity,
    topic: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    payloadBytes: number,
  ): Verdict {
    const cache = this.#cacheOf(identity);
    if (payloadBytes > cache.limits.payloadMaxBytes) return this.#denied(payloadTooLarge);
    let decision = cache.publish.get(topic);
    if (decision === undefined) {
      decision = this.#decidePublish(cache, identity, topic);
      cache.publish.set(topic, decision);
    }
    if (!('allowed' in decision)) decision = decidePublish(decision, { qos, retain, payloadBytes });
    return decision.allowed ? decision : this.#denied(decision);
  }

  subscribe(identity: Identity, filter: string, qos: 0 | 1 | 2): Verdict {
    if (isReservedForSubscribe(filter)) return this.#denied(reserved);
    const verdict = decideSubscribe(this.#cacheOf(identity).rules, filter, qos);
    return verdict.allowed ? verdict : this.#denied(verdict);
  }

  receive(identity: Identity, topic: string): boolean {
    const cache = this.#cacheOf(identity);
    let decision = cache.receive.get(topic);
    if (decision === undefined) {
      decision = !isReservedForSubscribe(topic) && isReceiveAllowed(cache.rules, topic);
      cache.receive.set(topic, decision);
    }
    return decision;
  }

  limits(identity: Identity): SessionLimits {
    return this.#cacheOf(identity).limits;
  }

  #denied(verdict: Verdict): Verdict {
    const rule = verdict.rule ?? 'none';
    this.deniedByRule.set(rule, (this.deniedByRule.get(rule) ?? 0) + 1);
    return verdict;
  }

  #decidePublish(cache: Decisions, identity: Identity, topic: string): Verdict | readonly Rule[] {
    if (isReservedForPublish(topic, identity.id)) return reserved;
    const matching = publishRules(cache.rules, topic);
    if (matching.some(isConditional)) return matching;
    const verdict = decidePublish(matching, { qos: 0, retain: false, payloadBytes: 0 });
    return verdict.allowed ? { ...verdict, always: true } : verdict;
  }

  #cacheOf(identity: Identity): Decisions {
    const known = this.#caches.get(identity);
    if (
      known?.version === this.#version &&
      known.entry === identity.entry &&
      known.standing === identity.standing
    ) {
      return known;
    }
    const cache: Decisions = {
      version: this.#version,
      entry: identity.entry,
      standing: identity.standing,
      rules: rulesFor(this.#policy, policySubjectOf(identity)),
      limits: this.#limitsOf(identity.entry.role),
      publish: new DecisionCache(this.#cacheRoom),
      receive: new DecisionCache(this.#cacheRoom),
    };
    known?.publish.empty();
    known?.receive.empty();
    this.#caches.set(identity, cache);
    return cache;
  }

  #limitsOf(roleName: string): SessionLimits {
    const role = this.#policy.roles.get(roleName);
    const known = this.#limitsByRole.get(role?.name);
    if (known !== undefined) return known;
    const own = role?.limits ?? {};
    const defaults = this.#limits;
    const limits: SessionLimits = {
      messagesPerSecond: own.messagesPerSecond ?? 0,
      messagesBurst: own.messagesBurst ?? own.messagesPerSecond ?? 0,
      bytesPerSecond: own.bytesPerSecond ?? 0,
      bytesBurst: own.bytesBurst ?? own.bytesPerSecond ?? 0,
      connectionsMax: own.connectionsMax ?? defaults.connectionsPerDeviceMax,
      subscriptionsMax: own.subscriptionsMax ?? defaults.subscriptionsPerSessionMax,
      // The limits of the configuration differ for each direction: the session layer applies them too.
      inflightMax: own.inflightMax ?? 65_535,
      queueMaxMessages: own.queueMaxMessages ?? defaults.queuePerSessionMaxMessages,
      queueMaxBytes: own.queueMaxBytes ?? defaults.queuePerSessionMaxBytes,
      queueOverflow: own.queueOverflow ?? defaults.queueOverflow,
      queueQos0: own.queueQos0 ?? defaults.queueQos0,
      payloadMaxBytes: own.payloadMaxBytes ?? defaults.packetMaxBytes,
      retainedMax: own.retainedMax ?? defaults.retainedPerDeviceMax,
      retainedMaxBytes: own.retainedMaxBytes ?? defaults.retainedPerDeviceMaxBytes,
      sessionExpiryMaxSeconds: own.sessionExpiryMaxSeconds ?? defaults.sessionExpiryMaxSeconds,
    };
    this.#limitsByRole.set(role?.name, limits);
    return limits;
  }
}

/** The facts about an identity that the policy uses. */
export function policySubjectOf(identity: Identity): Subject {
  const { id, entry, standing, remoteAddress } = identity;
  return {
    id,
    role: entry.role,
    group: entry.group,
    attributes: entry.attributes,
    standing,
    remoteAddress,
  };
}

const reserved: Verdict = { allowed: false, code: 'topic-reserved', rule: builtInRule };
const payloadTooLarge: Verdict = { allowed: false, code: 'payload-too-large', rule: 'limits' };
