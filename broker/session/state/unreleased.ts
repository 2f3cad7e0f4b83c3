/**
 * The packet ids of received QoS 2 messages that wait for PUBREL [MQTT-4.3.3-9], in the session and in the
 * room of all sessions.
 *
 * @module
 */
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { SessionContext } from './context.ts';
import { oneEntry } from './rooms.ts';
import type { Session } from './session.ts';

type Context = Pick<SessionContext, 'rooms'>;

/** Remembers a packet id, whether there is room or not. */
export function awaitRelease({ rooms }: Context, session: Session, packetId: number): void {
  const waiting = (session.awaitingPubrel ??= new Set());
  if (waiting.has(packetId)) return;
  waiting.add(packetId);
  rooms.unreleased.add(session.identityId, oneEntry);
}

/** @returns whether the packet id was waiting */
export function released({ rooms }: Context, session: Session, packetId: number): boolean {
  if (session.awaitingPubrel?.delete(packetId) !== true) return false;
  session.unconfirmed?.delete(packetId);
  rooms.unreleased.remove(session.identityId, oneEntry);
  return true;
}

/**
 * Remembers the confirmations of a message: its acknowledgement must wait for them also if the
 * client sends the message again, over this connection or another one.
 */
export function rememberConfirmations(
  session: Session,
  packetId: number,
  confirmations: readonly ReceiverConfirmation[] | undefined,
): void {
  if (confirmations === undefined) session.unconfirmed?.delete(packetId);
  else (session.unconfirmed ??= new Map()).set(packetId, confirmations);
}

/** Whether a message must be published again when its client sends it again: a partition may not have it. */
export function isUndelivered(session: Session, packetId: number): boolean {
  return session.unconfirmed?.get(packetId)?.some(({ hasFailed }) => hasFailed) === true;
}
