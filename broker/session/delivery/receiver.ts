/**
 * The receiver of a published message: a session, or a function of a plug-in.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import type { OwnerShare } from '../../store/shared-room.ts';
import type { Message } from './message.ts';

/**
 * Whether a receiver can send a message at once: `ready`; `busy` (connected, but its client does not
 * read or its window is full); `offline` (its session is kept without a connection).
 */
export type Readiness = 'ready' | 'busy' | 'offline';

export interface Receiver {
  readonly readiness: Readiness;
  /** The share of its identity in the room for retained messages; undefined: it has none of its own. */
  readonly retainedShare?: OwnerShare;
  /**
   * Sends or queues a message at the QoS of this delivery. Must not throw.
   *
   * @returns whether the message was put in the store: its publisher's acknowledgement must then wait
   *   for the commit
   */
  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): boolean;
  /** Whether the policy allows it to receive this topic. */
  mayReceive(topic: string): boolean;
}
