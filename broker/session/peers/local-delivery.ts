/**
 * Delivers a message that came from another partition: to the receivers of this one, never to a third one. Every
 * partition has a link to every other one.
 *
 * @module
 */
import type { Route } from '../../routing/topic-route.ts';
import type { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import { deliverTo } from '../state/publisher.ts';
import { PeerSession } from './peer-session.ts';

/**
 * @param sender the receiver of this partition that published the message, for No Local
 * @param isPassedOn whether another partition has shown it to its observers
 * @returns whether the message was put in the store
 */
export function deliverLocally(
  message: Message,
  { targets }: Route<Receiver>,
  sender: Receiver | undefined,
  isPassedOn: boolean,
): boolean {
  let stored = false;
  for (const target of targets) {
    if (target.subscriber instanceof PeerSession) continue;
    if (isPassedOn && target.subscriber.isLocalObserver === true) continue;
    if (deliverTo(target, message, sender) !== false) stored = true;
  }
  return stored;
}
