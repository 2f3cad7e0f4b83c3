/**
 * The retained messages that wait until the partition that owns their topic has passed them to all. Only a limited
 * number is in its queue: it acknowledges them late. The others wait in memory; their publishers have no
 * acknowledgement yet.
 *
 * @module
 */
import type { RetainRefusal } from '../../store/session-store.ts';
import type { Message } from '../delivery/message.ts';
import { queuedBytes } from '../delivery/message-queue.ts';
import { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { PeerSession } from './peer-session.ts';

/** How many are in the queue. Less than the window of a link. */
const requestsQueuedMax = 4000;
/** How many wait in memory. */
const requestsWaitingMax = 100_000;
const requestsWaitingMaxBytes = 64 * 1024 * 1024;

interface WaitingRequest {
  readonly message: Message;
  readonly confirmation: ReceiverConfirmation;
}

export class OrderRequests {
  readonly #owner: PeerSession;
  #queued = 0;
  readonly #waiting: WaitingRequest[] = [];
  /** The index of the first one that waits. */
  #first = 0;
  #waitingBytes = 0;

  /** @param owner the partition that owns the topics */
  constructor(owner: PeerSession) {
    this.#owner = owner;
  }

  /** Why no more messages can wait; undefined: there is room. */
  refusalOf(message: Message): RetainRefusal | undefined {
    const bytes = this.#waitingBytes + queuedBytes(message);
    return this.#waiting.length - this.#first >= requestsWaitingMax ||
      bytes > requestsWaitingMaxBytes
      ? 'retained-full'
      : undefined;
  }

  /** Passes a message to the owner. @returns confirmed when all partitions have it */
  request(message: Message): ReceiverConfirmation {
    if (this.#queued < requestsQueuedMax) return this.#queue(message);
    const confirmation = new ReceiverConfirmation();
    this.#waiting.push({ message, confirmation });
    this.#waitingBytes += queuedBytes(message);
    return confirmation;
  }

  #queue(message: Message): ReceiverConfirmation {
    const confirmation = this.#owner.deliverConfirmed(message, message.qos === 2 ? 2 : 1, true);
    if (!confirmation.isOpen) return confirmation;
    this.#queued++;
    confirmation.add({ onConfirmation: () => this.#onDone() });
    return confirmation;
  }

  #onDone(): void {
    this.#queued--;
    const next = this.#waiting[this.#first];
    if (next === undefined) return;
    this.#first++;
    if (this.#first === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#first = 0;
    } else if (this.#first >= requestsQueuedMax) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
    this.#waitingBytes -= queuedBytes(next.message);
    const queued = this.#queue(next.message);
    if (!queued.isOpen) next.confirmation.fail();
    else {
      queued.add({
        onConfirmation: (_, failed) =>
          failed ? next.confirmation.fail() : next.confirmation.confirm(),
      });
    }
  }
}
