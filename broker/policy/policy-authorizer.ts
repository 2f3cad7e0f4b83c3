/**
 * The policy in force, as the session layer asks it. Decisions are remembered for each identity and
 * topic, within bounds; a question seen before costs two look-ups.
 *
 * @module
 */
import type { BrokerLimits } from '../../core/config/limits.ts';
import type { Authorizer, SessionLimits, Verdict } from '../contracts/authorizer.ts';
import type { Identity } from '../contracts/identity.ts';
import {
  builtInRule,
  clientIdAllowed,
  decidePublish,
  decideReceive,
  decideSubscribe,
  isConditional,
  isReservedForPublish,
  isReservedForSubscribe,
  publishRules,
} from './decision.ts';
import type { Policy, Rule } from './policy-model.ts';
import { rulesFor, type ExpandedRule, type Subject } from './rules-for.ts';

/** How many topics are remembered for one identity and action. */
export const topicsRememberedMax = 512;

/** What one connection's identity may do, as far as it was asked. */
interface Memory {
  readonly version: number;
  readonly entry: Identity['entry'];
  readonly standing: Identity['standing'];
  readonly rules: readonly ExpandedRule[];
  readonly limits: SessionLimits;
  /** Made when they are used first: most connections are idle, or use one of the two. */
  publish: Map<string, Verdict | readonly Rule[]> | undefined;
  receive: Map<string, boolean> | undefined;
}

export class PolicyAuthorizer implements Authorizer {
  #policy: Policy;
  #version = 1;
  readonly #onDenied: 'close' | 'drop';
  readonly #limits: BrokerLimits;
  readonly #memories = new WeakMap<Identity, Memory>();
  /** By role: thousands of connections share one. `undefined`: all roles the policy does not know. */
  readonly #limitsOfRoles = new Map<string | undefined, SessionLimits>();
  /** How often each rule denied something; `none`: no rule allowed it. */
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

  /** Puts another policy in force. The caller has the live connections authorised again. */
  replace(policy: Policy): void {
    this.#policy = policy;
    this.#version++;
    this.#limitsOfRoles.clear();
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
    const memory = this.#memoryOf(identity);
    if (payloadBytes > memory.limits.payloadMaxBytes) return this.#denied(payloadTooLarge);
    let known = memory.publish?.get(topic);
    if (known === undefined) {
      known = this.#learnPublish(memory, identity, topic);
      remember((memory.publish ??= new Map<string, Verdict | readonly Rule[]>()), topic, known);
    }
    if (!('allowed' in known)) known = decidePublish(known, { qos, retain, payloadBytes });
    return known.allowed ? known : this.#denied(known);
  }

  subscribe(identity: Identity, filter: string, qos: 0 | 1 | 2): Verdict {
    if (isReservedForSubscribe(filter)) return this.#denied(reserved);
    const verdict = decideSubscribe(this.#memoryOf(identity).rules, filter, qos);
    return verdict.allowed ? verdict : this.#denied(verdict);
  }

  receive(identity: Identity, topic: string): boolean {
    const memory = this.#memoryOf(identity);
    let known = memory.receive?.get(topic);
    if (known === undefined) {
      known = !isReservedForSubscribe(topic) && decideReceive(memory.rules, topic).allowed;
      remember((memory.receive ??= new Map<string, boolean>()), topic, known);
    }
    return known;
  }

  limits(identity: Identity): SessionLimits {
    return this.#memoryOf(identity).limits;
  }

  #denied(verdict: Verdict): Verdict {
    const rule = verdict.rule ?? 'none';
    this.deniedByRule.set(rule, (this.deniedByRule.get(rule) ?? 0) + 1);
    return verdict;
  }

  #learnPublish(memory: Memory, identity: Identity, topic: string): Verdict | readonly Rule[] {
    if (isReservedForPublish(topic, identity.id)) return reserved;
    const matching = publishRules(memory.rules, topic);
    if (matching.some(isConditional)) return matching;
    const verdict = decidePublish(matching, { qos: 0, retain: false, payloadBytes: 0 });
    return verdict.allowed ? { ...verdict, always: true } : verdict;
  }

  #memoryOf(identity: Identity): Memory {
    const known = this.#memories.get(identity);
    if (
      known?.version === this.#version &&
      known.entry === identity.entry &&
      known.standing === identity.standing
    ) {
      return known;
    }
    const memory: Memory = {
      version: this.#version,
      entry: identity.entry,
      standing: identity.standing,
      rules: rulesFor(this.#policy, subjectOf(identity)),
      limits: this.#limitsOf(identity.entry.role),
      publish: undefined,
      receive: undefined,
    };
    this.#memories.set(identity, memory);
    return memory;
  }

  #limitsOf(roleName: string): SessionLimits {
    const role = this.#policy.roles.get(roleName);
    const known = this.#limitsOfRoles.get(role?.name);
    if (known !== undefined) return known;
    const own = role?.limits ?? {};
    const usual = this.#limits;
    const limits: SessionLimits = {
      messagesPerSecond: own.messagesPerSecond ?? 0,
      messagesBurst: own.messagesBurst ?? own.messagesPerSecond ?? 0,
      bytesPerSecond: own.bytesPerSecond ?? 0,
      bytesBurst: own.bytesBurst ?? own.bytesPerSecond ?? 0,
      connectionsMax: own.connectionsMax ?? usual.connectionsPerDeviceMax,
      subscriptionsMax: own.subscriptionsMax ?? usual.subscriptionsPerSessionMax,
      inflightMax: own.inflightMax ?? usual.inflightOutMax,
      queueMaxMessages: own.queueMaxMessages ?? usual.queuePerSessionMaxMessages,
      queueMaxBytes: own.queueMaxBytes ?? usual.queuePerSessionMaxBytes,
      queueOverflow: own.queueOverflow ?? usual.queueOverflow,
      queueQos0: own.queueQos0 ?? usual.queueQos0,
      payloadMaxBytes: own.payloadMaxBytes ?? usual.packetMaxBytes,
      sessionExpiryMaxSeconds: own.sessionExpiryMaxSeconds ?? usual.sessionExpiryMaxSeconds,
    };
    this.#limitsOfRoles.set(role?.name, limits);
    return limits;
  }
}

/** Whom the policy sees in an identity. */
export function subjectOf(identity: Identity): Subject {
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

function remember<T>(map: Map<string, T>, topic: string, value: T): void {
  // Forgetting all at once is crude, and enough: a device uses few topics for ever.
  if (map.size >= topicsRememberedMax) map.clear();
  map.set(topic, value);
}
