/**
 * The policy as data: the checked contents of policy.yaml, before expansion for an identity.
 *
 * @module
 */
import type { BlockList } from 'node:net';
import type { QueueOverflow } from '../config/limits.ts';
import type { IdentityCondition } from './identity-condition.ts';
import type { TopicTemplate } from './topic-template.ts';

export type Action = 'publish' | 'subscribe' | 'receive';
export type ClientIdRule = 'exact' | 'prefix' | 'any';

/** One rule. A condition that is undefined is always met. */
export interface Rule {
  /** `role/name`, or `role#2` for the second rule of a role when it has no name. */
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  readonly actions: ReadonlySet<Action>;
  readonly topics: readonly TopicTemplate[];
  readonly qos: ReadonlySet<number> | undefined;
  readonly retain: boolean | undefined;
  readonly payloadMinBytes: number | undefined;
  readonly payloadMaxBytes: number | undefined;
  readonly addresses: AddressRanges | undefined;
  /** On the group and the attributes of the identity. */
  readonly when: IdentityCondition | undefined;
}

/** Address ranges, with their source text. */
export interface AddressRanges {
  readonly source: readonly string[];
  readonly list: BlockList;
}

/** Limits of a role. Undefined ones come from `limits.broker` of the configuration. */
export interface RoleLimits {
  readonly messagesPerSecond?: number | undefined;
  readonly messagesBurst?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  readonly bytesBurst?: number | undefined;
  readonly connectionsMax?: number | undefined;
  readonly subscriptionsMax?: number | undefined;
  readonly inflightMax?: number | undefined;
  readonly queueMaxMessages?: number | undefined;
  readonly queueMaxBytes?: number | undefined;
  readonly queueOverflow?: QueueOverflow | undefined;
  readonly queueQos0?: boolean | undefined;
  readonly payloadMaxBytes?: number | undefined;
  readonly retainedMax?: number | undefined;
  readonly retainedMaxBytes?: number | undefined;
  readonly sessionExpiryMaxSeconds?: number | undefined;
}

/** One role, including what it inherits. */
export interface Role {
  readonly name: string;
  readonly clientIds: ClientIdRule;
  readonly rules: readonly Rule[];
  readonly limits: RoleLimits;
}

export interface Policy {
  /** From the file; undefined: the configuration decides. */
  readonly onDenied: 'close' | 'drop' | undefined;
  readonly roles: ReadonlyMap<string, Role>;
}
