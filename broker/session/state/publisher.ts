/**
 * Where a message meets its receivers: retained messages are kept, the route is walked, each
 * receiver is given what its subscriptions ask for.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import { Router } from '../../routing/router.ts';
import type { Route, SharedTarget, Target } from '../../routing/topic-route.ts';
import type { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from './context.ts';
import type { Touch } from './session.ts';

/** How many members of a group are looked at for one that is able to take a message. */
const sharedCandidatesMax = 64;

export class Publisher implements Touch {
  readonly router: Router<Receiver>;
  /** Set when the message that was just published waits for the store. */
  touched = false;
  /** Called for each message when somebody listens: Aedes's `publish` event. */
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

  /** The route of a topic now; good while neither it nor the policy changed. */
  route(topic: string): Route<Receiver> {
    if (this.#policyVersion !== this.#context.authorizer.version) {
      this.#policyVersion = this.#context.authorizer.version;
      this.router.invalidateAll();
    }
    return this.router.route(topic);
  }

  /**
   * Publishes a message; {@link touched} tells whether its acknowledgement must wait for the store.
   *
   * @param route what {@link route} gave for its topic, and is not stale
   * @param publisher whose own messages No Local keeps from it
   * @returns false when the message was to be retained and there was no room
   */
  publish(message: Message, route: Route<Receiver>, publisher: Receiver | undefined): boolean {
    this.touched = false;
    const kept = !message.retain || this.#retain(message);
    const { targets } = route;
    for (let index = 0; index < targets.length; index++) {
      const target = targets[index];
      if (target !== undefined) deliverTo(target, message, publisher);
    }
    if (route.shared.length > 0) {
      for (const shared of route.shared) deliverToGroup(shared, message, publisher);
    }
    this.onMessage?.(message);
    return kept;
  }

  /** [MQTT-3.3.1-5] to -11: kept in place of the one before; an empty payload removes it. */
  #retain(message: Message): boolean {
    message.detach();
    this.touched = true;
    const { store, clock } = this.#context;
    return store.putRetained(message.stored(clock.now()));
  }
}

function deliverTo(
  target: Target<Receiver>,
  message: Message,
  publisher: Receiver | undefined,
): void {
  let actual = target;
  if (target.forOwnMessages !== undefined && target.subscriber === publisher) {
    if (target.forOwnMessages === null) return; // [MQTT-3.8.3-3]
    actual = target.forOwnMessages;
  }
  const qos: Qos = message.qos < actual.qos ? message.qos : actual.qos;
  actual.subscriber.deliver(
    message,
    qos,
    message.retain && actual.retainAsPublished,
    actual.identifiers,
  );
}

/** One member of a group gets it: in turn, those first who can take it now [MQTT-4.8.2-4]. */
function deliverToGroup(
  shared: SharedTarget<Receiver>,
  message: Message,
  publisher: Receiver | undefined,
): void {
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
    if (readiness === 'able') {
      best = member;
      bestIndex = index;
      break;
    }
    if (best === undefined || (readiness === 'busy' && best.subscriber.readiness === 'away')) {
      best = member;
      bestIndex = index;
    }
  }
  turn.next = bestIndex + 1;
  if (best !== undefined) deliverTo(best, message, publisher);
}
