/**
 * The receiver of a published message: a session, a function of a plug-in, or another partition.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import type { OwnerShare } from '../../store/shared-room.ts';
import type { Message } from './message.ts';

/**
 * How many members of a shared subscription a receiver stands for, by whether they can send a message at
 * once. A session is one member; a receiver that stands for another partition has as many as there are sessions.
 */
export interface Readiness {
  readonly ready: number;
  /** Connected, but the client does not read or its window is full. */
  readonly busy: number;
  /** The session is kept without a connection. */
  readonly offline: number;
}

/** The readiness of a receiver that is one member. */
export const oneReady: Readiness = Object.freeze({ ready: 1, busy: 0, offline: 0 });
export const oneBusy: Readiness = Object.freeze({ ready: 0, busy: 1, offline: 0 });
export const oneOffline: Readiness = Object.freeze({ ready: 0, busy: 0, offline: 1 });

export interface Receiver {
  readonly readiness: Readiness;
  /** The share of its identity in the room for retained messages; undefined: it has none of its own. */
  readonly retainedShare?: OwnerShare;
  /** Whether it stands for another partition: what it cannot queue must not be acknowledged. */
  readonly isPartition?: boolean;
  /**
   * Whether it gets only what is published at this partition, not what another partition passes on: then observers of
   * all partitions together see each message once.
   */
  readonly isLocalObserver?: boolean;
  /**
   * Sends or queues a message at the QoS of this delivery. Must not throw.
   *
   * @returns whether the message was put in the store: then the acknowledgement of the publisher waits for the commit
   */
  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): boolean;
  /** Whether the policy allows it to receive this topic. */
  mayReceive(topic: string): boolean;
}
