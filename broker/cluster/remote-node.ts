/**
 * Another node as a receiver of messages. What it gets in one turn of the event loop leaves as one batch; it
 * confirms a batch when the changes are durable there.
 *
 * @module
 */
import type { Message } from '../session/delivery/message.ts';
import { oneReady, type DeliveryWait, type Receiver } from '../session/delivery/receiver.ts';
import type { Qos } from '../store/session-store.ts';
import type { BatchSender } from './batch-sender.ts';
import { MessageRecord, RemoteMessage } from './message-record.ts';

export class RemoteNode implements Receiver {
  readonly readiness = oneReady;
  readonly #sender: Pick<BatchSender, 'addNumbered' | 'addUnnumbered'>;
  /** Arranges that the batch leaves at the end of this turn. */
  readonly #flushLater: () => void;
  readonly #record = new MessageRecord();

  constructor(sender: Pick<BatchSender, 'addNumbered' | 'addUnnumbered'>, flushLater: () => void) {
    this.#sender = sender;
    this.#flushLater = flushLater;
  }

  deliver(message: Message, qos: Qos): DeliveryWait {
    // Each node sends its messages to all others itself.
    if (message instanceof RemoteMessage) return false;
    const record = this.#record.set(message, qos);
    this.#flushLater();
    if (qos > 0) return this.#sender.addNumbered(record);
    this.#sender.addUnnumbered(record);
    return false;
  }

  /** Whether a session may receive a topic is decided where the session is. */
  mayReceive(): boolean {
    return true;
  }
}
