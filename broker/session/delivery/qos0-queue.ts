/**
 * QoS 0 messages that wait for an offline session. They are kept in memory only: they are not worth a
 * write to the disk, and a message that a crash loses cannot be delivered twice.
 *
 * @module
 */
import type { Message } from './message.ts';
import { MessageQueue, queuedBytes } from './message-queue.ts';

export interface WaitingQos0 {
  readonly message: Message;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

/** The waiting QoS 0 messages of all sessions together. */
export class Qos0Totals {
  messages = 0;
  bytes = 0;
}

/** The waiting QoS 0 messages of one session, first in, first out. */
export class Qos0Queue {
  readonly #totals: Qos0Totals;
  readonly #queue = new MessageQueue<WaitingQos0>();

  constructor(totals: Qos0Totals) {
    this.#totals = totals;
  }

  get length(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  push(waiting: WaitingQos0): void {
    waiting.message.detach();
    this.#queue.push(waiting);
    this.#totals.messages++;
    this.#totals.bytes += queuedBytes(waiting.message);
  }

  shift(): WaitingQos0 | undefined {
    const oldest = this.#queue.shift();
    if (oldest === undefined) return undefined;
    this.#totals.messages--;
    this.#totals.bytes -= queuedBytes(oldest.message);
    return oldest;
  }
}
