/**
 * The queue of another partition in the store, which confirms single messages when that partition has acknowledged
 * them: then they are durable there.
 *
 * @module
 */
import type {
  Delivery,
  QueuedMessage,
  QueueSize,
  SessionStore,
} from '../../store/session-store.ts';
import type { QueueStore } from '../delivery/outbound-context.ts';
import { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';

export class ConfirmedQueues implements QueueStore {
  readonly #store: SessionStore;
  /** By the sequence of the message. As many as messages wait for the partition, at most. */
  readonly #open = new Map<number, ReceiverConfirmation>();
  /** That of the message that is queued next. */
  #next: ReceiverConfirmation | undefined = undefined;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /**
   * The confirmation of the message that `queue` adds to the queue. It fails at once if there is no room.
   *
   * @param queue called once
   */
  confirmed(queue: () => void): ReceiverConfirmation {
    const confirmation = new ReceiverConfirmation();
    this.#next = confirmation;
    queue();
    // Otherwise the message was queued, and has taken it.
    if (this.#takeNext() === confirmation) confirmation.fail();
    return confirmation;
  }

  /** Nobody waits here any more for what the partition has not acknowledged. It stays in the queue. */
  failAll(): void {
    for (const [sequence, confirmation] of this.#open) {
      this.#open.delete(sequence);
      confirmation.fail();
    }
  }

  enqueue(clientId: string, delivery: Delivery): number {
    const sequence = this.#store.enqueue(clientId, delivery);
    const confirmation = sequence === 0 ? undefined : this.#takeNext();
    if (confirmation !== undefined) this.#open.set(sequence, confirmation);
    return sequence;
  }

  markSent(clientId: string, sequence: number, packetId: number): void {
    this.#store.markSent(clientId, sequence, packetId);
  }

  markReleased(clientId: string, sequence: number): void {
    this.#store.markReleased(clientId, sequence);
    this.#confirm(sequence);
  }

  dequeue(clientId: string, sequence: number): void {
    this.#store.dequeue(clientId, sequence);
    this.#confirm(sequence);
  }

  dropOldest(clientId: string): number {
    const sequence = this.#store.dropOldest(clientId);
    this.#confirm(sequence);
    return sequence;
  }

  queueOf(clientId: string): QueueSize {
    return this.#store.queueOf(clientId);
  }

  readQueue(
    clientId: string,
    afterSequence: number,
    limitMessages: number,
  ): Promise<readonly QueuedMessage[]> {
    return this.#store.readQueue(clientId, afterSequence, limitMessages);
  }

  #takeNext(): ReceiverConfirmation | undefined {
    const next = this.#next;
    this.#next = undefined;
    return next;
  }

  #confirm(sequence: number): void {
    if (this.#open.size === 0) return;
    const confirmation = this.#open.get(sequence);
    if (confirmation === undefined) return;
    this.#open.delete(sequence);
    confirmation.confirm();
  }
}
