/**
 * What the outbound queue of a session needs from its session: limits, authorization, and the store.
 *
 * @module
 */
import type { QueueOverflow } from '../../../core/config/limits.ts';
import type { RetainRefusal, SessionStore } from '../../store/session-store.ts';
import type { Message } from './message.ts';
import type { MemoryTotals } from './memory-queue.ts';

/** How much may wait for one session. */
export interface OutboundLimits {
  readonly queueMaxMessages: number;
  readonly queueMaxBytes: number;
  /** Which message is dropped when the queue is full and has no QoS 0 message. */
  readonly queueOverflow: QueueOverflow;
  /** Whether QoS 0 messages are queued while the session is offline. */
  readonly queueQos0: boolean;
}

/** Stable words for the metrics. */
export type DropReason =
  | 'queue-full'
  | 'store-full'
  | 'expired'
  | 'too-large'
  | 'outbound-full'
  | 'not-allowed'
  | RetainRefusal
  | 'session-evicted';

/** The part of the store that a queue uses. */
export type QueueStore = Pick<
  SessionStore,
  'enqueue' | 'markSent' | 'markReleased' | 'dequeue' | 'dropOldest' | 'queueOf' | 'readQueue'
>;

/** What the queue needs from its session. */
export interface OutboundContext {
  readonly queues: QueueStore;
  readonly limits: OutboundLimits;
  readonly memoryTotals: MemoryTotals;
  nowMs(): number;
  /** Whether a message that was not sent yet is dropped [MQTT-3.3.2-5]. */
  hasExpired(message: Message): boolean;
  /** Whether the policy (still) allows the session's identity to receive this topic. */
  mayReceive(topic: string): boolean;
  /** Whether this many more bytes may wait, counted over all sessions. */
  fitsInTotal(bytes: number): boolean;
  dropped(reason: DropReason, messages: number): void;
  failed(error: unknown): void;
}
