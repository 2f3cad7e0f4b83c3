/**
 * Publishes messages: stores retained ones, walks the route of the topic, and hands the message to
 * each receiver as its subscriptions ask.
 *
 * @module
 */
import type { Qos, RetainRefusal } from '../../store/session-store.ts';
import { Router } from '../../routing/router.ts';
import type { Route, SharedTarget, Target } from '../../routing/topic-route.ts';
import type { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from './context.ts';

/** At most this many members of a shared subscription are examined to find one that is ready. */
const sharedCandidatesMax = 64;

/**
 * What became of a published message:
 * - `routed`: nothing was put in the store. An acknowledgement may leave at once.
 * - `stored`: the message was put in the store, as a retained message or for a receiver. An
 *   acknowledgement must wait for the commit.
 * - `retained-full`, `retained-share-full`: there was no room for the retained message, in all or for
 *   this identity. Receivers got it all the same, so an acknowledgement must wait for the commit.
 */
export type PublishOutcome = 'routed' | 'stored' | RetainRefusal;

export function isRetainRefusal(outcome: PublishOutcome): outcome is RetainRefusal {
  return outcome !== 'routed' && outcome !== 'stored';
}

export class Publisher {
  readonly router: Router<Receiver>;
  /** Called for each message while a plug-in listens to Aedes's `publish` event. */
  onMessage: ((message: Message) => void) | undefined = undefined;
  readonly #context: SessionContext;
  #policyVersion: number;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#policyVersion = context.authorizer.version;
    this.router = new Router<Receiver>({
      cacheMaxTopics: context.limits.routeCacheMaxTopics,
      mayReceive: (receiver, topic) => receiver.mayReceive(topic),
    });
  }

  /** The current route of a topic. It is valid until it is stale or the policy changes. */
  route(topic: string): Route<Receiver> {
    if (this.#policyVersion !== this.#context.authorizer.version) {
      this.#policyVersion = this.#context.authorizer.version;
      this.router.invalidateAll();
    }
    return this.router.route(topic);
  }

  /**
   * Publishes a message. A delivery can close a connection whose will is published at once, so this
   * method can be called again before it returns: it keeps no state between calls.
   *
   * @param route the route of the message's topic, not stale
   * @param sender the receiver that published the message, for No Local; undefined for the broker
   */
  publish(message: Message, route: Route<Receiver>, sender: Receiver | undefined): PublishOutcome {
    let outcome: PublishOutcome = 'routed';
    if (message.retain) outcome = this.#retain(message, sender) ?? 'stored';
    const { targets } = route;
    for (let index = 0; index < targets.length; index++) {
      const target = targets[index];
      if (target !== undefined && deliverTo(target, message, sender) && outcome === 'routed') {
        outcome = 'stored';
      }
    }
    if (route.shared.length > 0) {
      for (const shared of route.shared) {
        if (deliverToGroup(shared, message, sender) && outcome === 'routed') outcome = 'stored';
      }
    }
    this.onMessage?.(message);
    return outcome;
  }

  /**
   * Replaces the retained message of the topic; an empty payload deletes it [MQTT-3.3.1-5] to -11.
   *
   * @returns why there is no room; undefined if it is retained
   */
  #retain(message: Message, sender: Receiver | undefined): RetainRefusal | undefined {
    message.detach();
    const { store, clock } = this.#context;
    return store.putRetained(message.toStored(clock.now()), sender?.retainedShare);
  }
}

/** @returns whether the message was put in the store for this receiver */
function deliverTo(
  target: Target<Receiver>,
  message: Message,
  sender: Receiver | undefined,
): boolean {
  let actual = target;
  if (target.forOwnMessages !== undefined && target.subscriber === sender) {
    if (target.forOwnMessages === null) return false; // [MQTT-3.8.3-3]
    actual = target.forOwnMessages;
  }
  const qos: Qos = message.qos < actual.qos ? message.qos : actual.qos;
  return actual.subscriber.deliver(
    message,
    qos,
    message.retain && actual.retainAsPublished,
    actual.identifiers,
  );
}

/**
 * Delivers to one member of a shared subscription: in turn, those first that are ready to send
 * [MQTT-4.8.2-4].
 *
 * @returns whether the message was put in the store for this member
 */
function deliverToGroup(
  shared: SharedTarget<Receiver>,
  message: Message,
  sender: Receiver | undefined,
): boolean {
  const { members, turn } = shared;
  const count = members.length;
  const start = turn.next % count;
  let best: Target<Receiver> | undefined;
  let bestIndex = start;
  for (let step = 0; step < count && step < sharedCandidatesMax; step++) {
    const index = (start + step) % count;
    const member = members[index];
    if (member === undefined) continue;
    const { readiness } = member.subscriber;
    if (readiness === 'ready') {
      best = member;
      bestIndex = index;
      break;
    }
    if (best === undefined || (readiness === 'busy' && best.subscriber.readiness === 'offline')) {
      best = member;
      bestIndex = index;
    }
  }
  turn.next = bestIndex + 1;
  return best !== undefined && deliverTo(best, message, sender);
}
