/**
 * Subscriptions, and the route of a topic that is computed from them.
 *
 * @module
 */

/** One subscription. `S` is the type of the subscriber. */
export interface Subscription<S> {
  readonly subscriber: S;
  /** Without `$share/{group}/`. */
  readonly filter: string;
  /** The ShareName of a shared subscription; undefined if it is not shared. */
  readonly group: string | undefined;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** Subscription Identifier (5.0). */
  readonly identifier: number | undefined;
}

/**
 * One receiver of a topic, with all its matching subscriptions combined: [MQTT-3.3.5-1] it gets the
 * message once, at the highest QoS, [MQTT-3.3.4-3] with all subscription identifiers.
 */
export interface Target<S> {
  readonly subscriber: S;
  readonly qos: 0 | 1 | 2;
  readonly retainAsPublished: boolean;
  readonly identifiers: readonly number[];
  /**
   * The target for the messages that this receiver published itself, if No Local makes a difference
   * [MQTT-3.8.3-3]: a target of its other subscriptions, or `null` if it has none. Undefined: the same
   * target as for all messages.
   */
  readonly forOwnMessages: Target<S> | null | undefined;
}

/** The members of one shared subscription that may receive a topic. */
export interface SharedTarget<S> {
  readonly members: readonly Target<S>[];
  readonly group: string;
  readonly filter: string;
  /** The next member in turn. All topics of the shared subscription use the same object. */
  readonly turn: SharedTurn;
}

export interface SharedTurn {
  /** The index of the member whose turn it is, or more than that. */
  next: number;
  /** How many messages it has got in its turn: a member that stands for several has more than one. */
  taken: number;
}

/** The receivers of one topic. Valid until it is stale. */
export interface Route<S> {
  readonly topic: string;
  readonly targets: readonly Target<S>[];
  readonly shared: readonly SharedTarget<S>[];
  readonly stale: boolean;
}

const noIdentifiers: readonly number[] = Object.freeze([]);

/** The target of one subscription. */
export function targetOf<S>(subscription: Subscription<S>): Target<S> {
  const { subscriber, qos, retainAsPublished, identifier, noLocal } = subscription;
  return {
    subscriber,
    qos,
    retainAsPublished,
    identifiers: identifier === undefined ? noIdentifiers : [identifier],
    forOwnMessages: noLocal ? null : undefined,
  };
}

/** The target of all matching subscriptions of one subscriber. */
export function mergedTarget<S>(subscriptions: readonly Subscription<S>[]): Target<S> | undefined {
  const [first] = subscriptions;
  if (first === undefined) return undefined;
  if (subscriptions.length === 1) return targetOf(first);
  const all = mergeSubscriptions(first.subscriber, subscriptions);
  const withoutNoLocal = subscriptions.filter(({ noLocal }) => !noLocal);
  if (withoutNoLocal.length === subscriptions.length) return all;
  return {
    ...all,
    forOwnMessages:
      withoutNoLocal.length === 0 ? null : mergeSubscriptions(first.subscriber, withoutNoLocal),
  };
}

function mergeSubscriptions<S>(
  subscriber: S,
  subscriptions: readonly Subscription<S>[],
): Target<S> {
  let qos: 0 | 1 | 2 = 0;
  let retainAsPublished = false;
  const identifiers: number[] = [];
  for (const subscription of subscriptions) {
    if (subscription.qos > qos) ({ qos } = subscription);
    retainAsPublished ||= subscription.retainAsPublished;
    if (subscription.identifier !== undefined) identifiers.push(subscription.identifier);
  }
  return { subscriber, qos, retainAsPublished, identifiers, forOwnMessages: undefined };
}
