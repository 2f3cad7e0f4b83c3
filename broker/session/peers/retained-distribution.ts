/**
 * Retained messages of all partitions. Each partition stores all of them, so that a SUBSCRIBE finds them at once. One
 * partition decides the order of the messages of a topic, its owner: the others pass the messages that their clients
 * publish to it, and it passes every message to all.
 *
 * The publisher gets its acknowledgement when all partitions have the message. The acknowledgements between partitions
 * are not ordered. What the owner acknowledges late is limited to a part of the window of a link, so that there is
 * always room for messages that are acknowledged at once: no two partitions wait for each other.
 *
 * @module
 */
import type { RetainRefusal } from '../../store/session-store.ts';
import type { Route } from '../../routing/topic-route.ts';
import { partitionOf } from '../../../core/partition.ts';
import { Message } from '../delivery/message.ts';
import { queuedBytes } from '../delivery/message-queue.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from '../state/context.ts';
import { retainOutcome, stored, type PublishOutcome } from '../state/publish-outcome.ts';
import { deliverTo, type Publisher, type RetainedPublisher } from '../state/publisher.ts';
import { chooseMember } from '../state/shared-choice.ts';
import type { SessionRegistry } from '../state/session-registry.ts';
import { deliverLocally } from './local-delivery.ts';
import { withOrigin, type MessageOrigin } from './message-origin.ts';
import { OrderRequests } from './order-requests.ts';
import type { PeerSession } from './peer-session.ts';

/** About what the origin adds to a message. */
const originBytes = 128;

export interface RetainedDistributionDeps {
  /** That of clients. */
  readonly context: SessionContext;
  readonly publisher: Publisher;
  readonly sessions: Pick<SessionRegistry, 'get'>;
  /** In the order of the names of the partitions; undefined: this one. */
  readonly partitions: readonly (PeerSession | undefined)[];
}

export class RetainedDistribution implements RetainedPublisher {
  readonly #deps: RetainedDistributionDeps;
  readonly #peers: readonly PeerSession[];
  readonly #requests: readonly (OrderRequests | undefined)[];

  constructor(deps: RetainedDistributionDeps) {
    this.#deps = deps;
    this.#peers = deps.partitions.filter((session) => session !== undefined);
    this.#requests = deps.partitions.map((session) => session && new OrderRequests(session));
  }

  /** Whether this partition decides the order of the retained messages of a topic. */
  owns(topic: string): boolean {
    return this.#ownerOf(topic) === undefined;
  }

  publish(
    message: Message,
    route: Route<Receiver>,
    sender: Receiver | undefined,
    isSilent: boolean,
  ): PublishOutcome {
    const { publisher } = this.#deps;
    const share = sender?.retainedShare;
    const { qos, publisher: clientId } = message;
    const origin: MessageOrigin = { qos, identityId: share?.id, clientId, isSilent };
    const owner = this.#ownerOf(message.topic);
    message.detach();
    const refusal = this.#refusalOf(message, sender) ?? owner?.refusalOf(message);
    if (refusal !== undefined) {
      // It is no retained message anywhere, but those who subscribe now get it.
      if (!isSilent) publisher.publish(withoutRetain(message), route, sender);
      return retainOutcome(refusal);
    }
    const outcome =
      owner === undefined
        ? this.order(message, origin, route, sender)
        : { ...stored, confirmations: [owner.request(withOrigin(message, origin))] };
    if (!isSilent) publisher.onMessage?.(message);
    return outcome;
  }

  /** Whether a message of another partition can be queued for all. */
  hasRoomFor(message: Message): boolean {
    const { store, limits } = this.#deps.context;
    const { queuedMessages, queuedBytes: allBytes } = store.statistics;
    const copies = this.#peers.length;
    const bytes = (queuedBytes(message) + originBytes) * copies;
    return (
      queuedMessages + copies <= limits.queuedTotalMaxMessages &&
      allBytes + bytes <= limits.queuedTotalMaxBytes
    );
  }

  /**
   * Stores and delivers a message of a topic that this partition owns, and passes it to all partitions.
   *
   * @returns confirmed when all partitions have it
   */
  order(
    message: Message,
    origin: MessageOrigin,
    route: Route<Receiver>,
    sender: Receiver | undefined,
  ): PublishOutcome {
    this.apply(message, origin, route, sender, false);
    this.#deliverToGroups(message, origin, route);
    const copy = withOrigin(message, origin);
    const qos = copy.qos === 2 ? 2 : 1;
    const confirmations = this.#peers.map((peer) => peer.deliverConfirmed(copy, qos, true));
    return { ...stored, confirmations };
  }

  /**
   * Stores a message, and delivers it to the receivers of this partition.
   *
   * @param sender undefined: it is looked for by the origin, for No Local [MQTT-3.8.3-3]
   * @param isPassedOn whether the owner of the topic has shown it to its observers
   */
  apply(
    message: Message,
    origin: MessageOrigin,
    route: Route<Receiver>,
    sender: Receiver | undefined,
    isPassedOn: boolean,
  ): void {
    const { store, clock } = this.#deps.context;
    message.detach();
    const nowMs = clock.now();
    const hasExpired = message.expired(nowMs);
    if (hasExpired) store.deleteRetained(message.topic);
    else store.keepRetained(message.toStored(nowMs), origin.identityId);
    if (hasExpired || origin.isSilent) return;
    deliverLocally(message, route, sender ?? this.#senderOf(origin), isPassedOn);
  }

  /** Each shared subscription gets the message once: this partition chooses its members. */
  #deliverToGroups(message: Message, { isSilent }: MessageOrigin, route: Route<Receiver>): void {
    if (isSilent || message.expired(this.#deps.context.clock.now())) return;
    for (const shared of route.shared) {
      const member = chooseMember(shared);
      if (member !== undefined) deliverTo(member, message, undefined);
    }
  }

  /** The session that published a message, if it is one of this partition. */
  #senderOf({ clientId, identityId }: MessageOrigin): Receiver | undefined {
    const session = clientId === undefined ? undefined : this.#deps.sessions.get(clientId);
    return session?.identityId === identityId ? session : undefined;
  }

  #refusalOf(message: Message, sender: Receiver | undefined): RetainRefusal | undefined {
    const { store, clock } = this.#deps.context;
    const refusal = store.retainedRefusal(message.toStored(clock.now()), sender?.retainedShare);
    if (refusal !== undefined) return refusal;
    return store.stalled !== undefined || !this.hasRoomFor(message) ? 'retained-full' : undefined;
  }

  /** Where the messages of a topic are passed to; undefined: this partition owns it. */
  #ownerOf(topic: string): OrderRequests | undefined {
    return this.#requests[partitionOf(topic, this.#requests.length)];
  }
}

function withoutRetain(message: Message): Message {
  const { topic, qos, payload } = message;
  return Message.from(topic, qos, false, payload, message);
}
