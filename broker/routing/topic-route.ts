/**
 * What the bus knows: who subscribed to what, and what a topic's route looks like.
 *
 * @module
 */

/** One subscription in the bus. `S` is who receives. */
export interface Subscription<S> {
  readonly subscriber: S;
  /** Without `$share/{group}/`. */
  readonly filter: string;
  /** The name of the shared subscription's group; undefined when it is not shared. */
  readonly group: string | undefined;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** Subscription Identifier, 5.0. */
  readonly identifier: number | undefined;
}

/**
 * One receiver of a topic: all its matching subscriptions in one. [MQTT-3.3.5-1] it gets the message
 * once, at the highest QoS; [MQTT-3.3.4-3] with all subscription identifiers.
 */
export interface Target<S> {
  readonly subscriber: S;
  readonly qos: 0 | 1 | 2;
  readonly retainAsPublished: boolean;
  readonly identifiers: readonly number[];
  /**
   * What it gets of its own messages, when No Local says something else [MQTT-3.8.3-3]: a target of
   * the other subscriptions, or `null` when nothing is left. Undefined: no difference.
   */
  readonly forOwnMessages: Target<S> | null | undefined;
}

/** The members of one group of a shared subscription that may have a topic. */
export interface SharedTarget<S> {
  readonly members: readonly Target<S>[];
  /** Whose turn it is, shared by all topics of the group. */
  readonly turn: SharedTurn;
}

export interface SharedTurn {
  next: number;
}

/** Where messages of one topic go. Valid until it is stale. */
export interface Route<S> {
  readonly topic: string;
  readonly targets: readonly Target<S>[];
  readonly shared: readonly SharedTarget<S>[];
  stale: boolean;
}

const noIdentifiers: readonly number[] = Object.freeze([]);

/** One subscription as a target. */
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

/** All matching subscriptions of one subscriber as one target. */
export function mergedTarget<S>(subscriptions: readonly Subscription<S>[]): Target<S> | undefined {
  const [first] = subscriptions;
  if (first === undefined) return undefined;
  if (subscriptions.length === 1) return targetOf(first);
  const all = mergeSubscriptions(first.subscriber, subscriptions);
  const foreign = subscriptions.filter((one) => !one.noLocal);
  if (foreign.length === subscriptions.length) return all;
  return {
    ...all,
    forOwnMessages: foreign.length === 0 ? null : mergeSubscriptions(first.subscriber, foreign),
  };
}

function mergeSubscriptions<S>(
  subscriber: S,
  subscriptions: readonly Subscription<S>[],
): Target<S> {
  let qos: 0 | 1 | 2 = 0;
  let retainAsPublished = false;
  const identifiers: number[] = [];
  for (const one of subscriptions) {
    if (one.qos > qos) ({ qos } = one);
    retainAsPublished ||= one.retainAsPublished;
    if (one.identifier !== undefined) identifiers.push(one.identifier);
  }
  return { subscriber, qos, retainAsPublished, identifiers, forOwnMessages: undefined };
}
