/**
 * A receiver that confirms when the test says so, like another node.
 *
 * @module
 */
import { ReceiverConfirmation } from '../../broker/session/delivery/receiver-confirmation.ts';
import type { Message } from '../../broker/session/delivery/message.ts';
import {
  oneReady,
  type DeliveryWait,
  type Readiness,
  type Receiver,
} from '../../broker/session/delivery/receiver.ts';
import type { Qos } from '../../broker/store/session-store.ts';
import type { World } from './session-world.ts';

export class LateReceiver implements Receiver {
  readiness: Readiness = oneReady;
  /** Whether publishers pause until it confirms. */
  isCongested = false;
  /** The payloads of what it got. */
  readonly got: string[] = [];
  /** What is pending, the oldest first: one for each message of QoS 1 and 2. */
  readonly pending: ReceiverConfirmation[] = [];

  /** Subscribes it in a world. @returns removes it */
  listen(world: World, filter: string, group?: string): () => void {
    const { router } = world.layer.publisher;
    router.add({
      subscriber: this,
      filter,
      group,
      qos: 2,
      noLocal: false,
      retainAsPublished: true,
      identifier: undefined,
    });
    return () => void router.remove(this, filter, group);
  }

  deliver(message: Message, qos: Qos): DeliveryWait {
    this.got.push(String(message.payload));
    if (qos === 0) return false;
    const confirmation = new ReceiverConfirmation();
    confirmation.pausesPublishers = this.isCongested;
    this.pending.push(confirmation);
    return confirmation;
  }

  mayReceive(): boolean {
    return true;
  }

  /** Confirms the oldest messages that are pending. */
  confirm(count = this.pending.length): void {
    for (const confirmation of this.pending.splice(0, count)) confirmation.confirm();
  }

  /** Will not confirm what is pending. */
  fail(): void {
    for (const confirmation of this.pending.splice(0)) confirmation.fail();
  }
}
