/**
 * Delivers a message that came from another partition: to the receivers of this one, never to a third one. Every
 * partition has a link to every other one.
 *
 * The partition of the publisher chooses the member of a shared subscription. If it is one of this partition, the
 * message comes with the number of the shared subscription.
 *
 * @module
 */
import type { Route, SharedTarget, SharedTurn } from '../../routing/topic-route.ts';
import type { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import { deliverTo } from '../state/publisher.ts';
import { chooseMember } from '../state/shared-choice.ts';
import { PeerGroup } from './peer-group.ts';
import { PeerSession } from './peer-session.ts';
import { identifierOf } from './shared-name.ts';

/** The members of a shared subscription in this partition. */
const localMembers = new WeakMap<SharedTarget<Receiver>, SharedTarget<Receiver>>();
/** Whose turn it is among them. */
const localTurns = new WeakMap<SharedTurn, SharedTurn>();

/**
 * Delivers to the normal subscriptions.
 *
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
    if (deliverTo(target, message, sender)) stored = true;
  }
  return stored;
}

/**
 * Delivers to a member of a shared subscription in this partition. If it has none any more, the message is passed to
 * another partition that has members, once.
 *
 * @param identifier the number of the shared subscription
 * @param wasPassed whether another partition had no member any more: then the message is not passed again
 * @returns whether the message was put in the store
 */
export function deliverToGroup(
  message: Message,
  { shared }: Route<Receiver>,
  identifier: number,
  from: PeerSession,
  wasPassed: boolean,
): boolean {
  let stored = false;
  for (const group of shared) {
    if (identifierOf(group) !== identifier) continue;
    const local = localOf(group);
    if (local.members.length > 0) {
      const member = chooseMember(local);
      if (member !== undefined && deliverTo(member, message, undefined)) stored = true;
    } else if (!wasPassed && passOn(message, group, identifier, from)) stored = true;
  }
  return stored;
}

/** Chooses another partition; the one that the message came from only if no other one has members. */
function passOn(
  message: Message,
  { members, turn }: SharedTarget<Receiver>,
  identifier: number,
  from: PeerSession,
): boolean {
  const others = members.filter(
    ({ subscriber }) => !(subscriber instanceof PeerGroup && subscriber.session === from),
  );
  const member = chooseMember({ members: others.length > 0 ? others : members, turn });
  if (member === undefined) return false;
  const qos = message.qos < member.qos ? message.qos : member.qos;
  // The number twice: it was passed on.
  const passed = [identifier, identifier];
  return member.subscriber.deliver(message, qos, message.retain, passed);
}

function localOf(group: SharedTarget<Receiver>): SharedTarget<Receiver> {
  let local = localMembers.get(group);
  if (local !== undefined) return local;
  let turn = localTurns.get(group.turn);
  if (turn === undefined) localTurns.set(group.turn, (turn = { next: 0, taken: 0 }));
  const members = group.members.filter(({ subscriber }) => !(subscriber instanceof PeerGroup));
  localMembers.set(group, (local = { ...group, members, turn }));
  return local;
}
