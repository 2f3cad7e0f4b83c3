/**
 * Publishes messages: stores retained ones, walks the route of the topic, and hands the message to
 * each receiver as its subscriptions ask.
 *
 * @module
 */
import type { Qos, RetainRefusal, StoredMessage } from '../../store/session-store.ts';
import { Router } from '../../routing/router.ts';
import type { Route, Subscription, Target } from '../../routing/topic-route.ts';
import { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from './context.ts';
import { retainOutcome, routed, stored, type PublishOutcome } from './publish-outcome.ts';
import { chooseMember } from './shared-choice.ts';

/** Publishes retained messages where several partitions have them. */
export interface RetainedPublisher {
  /** @param isSilent whether the message is delivered to nobody */
  publish(
    message: Message,
    route: Route<Receiver>,
    sender: Receiver | undefined,
    isSilent: boolean,
  ): PublishOutcome;
}

export class Publisher {
  readonly router: Router<Receiver>;
  /** Called for each message while a plug-in listens to Aedes's `publish` event. */
  onMessage: ((message: Message) => void) | undefined = undefined;
  /** Publishes the retained messages, if there are other partitions. */
  distribution: RetainedPublisher | undefined = undefined;
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

  /** Adds a subscription of a receiver, or replaces the one with the same filter and group. */
  subscribe(subscription: Subscription<Receiver>): void {
    const replaced = this.router.add(subscription);
    this.#context.observer?.added(subscription, replaced);
  }

  unsubscribe(subscriber: Receiver, filter: string, group: string | undefined): void {
    const removed = this.router.remove(subscriber, filter, group);
    if (removed !== undefined) this.#context.observer?.removed(removed);
  }

  /**
   * Publishes a message. A delivery can close a connection whose will is published at once, so this
   * method can be called again before it returns: it keeps no state between calls.
   *
   * @param route the route of the message's topic, not stale
   * @param sender the receiver that published the message, for No Local; undefined for the broker
   */
  publish(message: Message, route: Route<Receiver>, sender: Receiver | undefined): PublishOutcome {
    if (message.retain && this.distribution !== undefined) {
      return this.distribution.publish(message, route, sender, false);
    }
    const outcome = message.retain ? retainOutcome(this.#retain(message, sender)) : routed;
    let isStored = false;
    const { targets } = route;
    for (let index = 0; index < targets.length; index++) {
      const target = targets[index];
      if (target !== undefined && deliverTo(target, message, sender)) isStored = true;
    }
    if (route.shared.length > 0) {
      for (const shared of route.shared) {
        const member = chooseMember(shared);
        if (member !== undefined && deliverTo(member, message, sender)) isStored = true;
      }
    }
    this.onMessage?.(message);
    return isStored && outcome === routed ? stored : outcome;
  }

  /** Retains a message without delivering it to anybody. */
  retainOnly(message: StoredMessage): PublishOutcome {
    if (this.distribution === undefined) {
      return retainOutcome(this.#context.store.putRetained(message));
    }
    const route = this.route(message.topic);
    return this.distribution.publish(Message.fromStored(message), route, undefined, true);
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

/**
 * Delivers a message as a target asks.
 *
 * @param sender the receiver that published it, for No Local
 * @returns whether the message was put in the store
 */
export function deliverTo(
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
