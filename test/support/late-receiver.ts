/**
 * A receiver whose messages are confirmed when the test says so, as other partitions confirm retained messages.
 *
 * @module
 */
import { ReceiverConfirmation } from '../../broker/session/delivery/receiver-confirmation.ts';
import type { Message } from '../../broker/session/delivery/message.ts';
import { oneReady, type Readiness, type Receiver } from '../../broker/session/delivery/receiver.ts';
import type { Qos } from '../../broker/store/session-store.ts';
import type { World } from './session-world.ts';

export class LateReceiver implements Receiver {
  readiness: Readiness = oneReady;
  /** Whether it fails at once. */
  fails = false;
  /** The payloads of what it got. */
  readonly got: string[] = [];
  /** What is pending, the oldest first: one for each message of QoS 1 and 2. */
  readonly pending: ReceiverConfirmation[] = [];
  /** Those of the message that is being published. */
  #new: ReceiverConfirmation[] = [];

  /** Subscribes it in a world. @returns removes it */
  listen(world: World, filter: string, group?: string): () => void {
    const { publisher } = world.layer;
    const { router } = publisher;
    const publish = publisher.publish.bind(publisher);
    publisher.publish = (message, route, sender) => {
      const outcome = publish(message, route, sender);
      if (this.#new.length === 0) return outcome;
      const confirmations = [...(outcome.confirmations ?? []), ...this.#new];
      this.#new = [];
      return { ...outcome, confirmations };
    };
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

  deliver(message: Message, qos: Qos): boolean {
    this.got.push(String(message.payload));
    if (qos === 0) return false;
    const confirmation = new ReceiverConfirmation();
    if (this.fails) confirmation.fail();
    this.#new.push(confirmation);
    this.pending.push(confirmation);
    return true;
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
