/**
 * The topics whose retained messages of one connection are not confirmed by all partitions. They arrive at the
 * receivers by way of the partition that orders them, so a message without RETAIN behind them waits, in order not to
 * overtake them [MQTT-4.6.0-5].
 *
 * @module
 */
import type {
  ConfirmationWaiter,
  ReceiverConfirmation,
} from '../delivery/receiver-confirmation.ts';

/** With so many messages, the connection is not read. Those of QoS 0 have no other limit. */
const unconfirmedMax = 1024;

interface UnconfirmedTopic {
  /** How many confirmations are missing. */
  open: number;
  /** Called when there are none. */
  readonly calls: (() => void)[];
}

export class UnconfirmedTopics implements ConfirmationWaiter {
  readonly #byTopic = new Map<string, UnconfirmedTopic>();
  readonly #topicOf = new Map<ReceiverConfirmation, string>();
  /** Called when there is room again. */
  #whenRoom: (() => void) | undefined = undefined;

  /** Remembers a retained message of a topic. @param confirmations what is not confirmed yet */
  add(topic: string, confirmations: readonly ReceiverConfirmation[]): void {
    let entry = this.#byTopic.get(topic);
    for (const confirmation of confirmations) {
      if (!confirmation.isOpen || this.#topicOf.has(confirmation)) continue;
      if (entry === undefined) this.#byTopic.set(topic, (entry = { open: 0, calls: [] }));
      entry.open++;
      this.#topicOf.set(confirmation, topic);
      confirmation.add(this);
    }
  }

  has(topic: string): boolean {
    return this.#byTopic.has(topic);
  }

  get isFull(): boolean {
    return this.#topicOf.size >= unconfirmedMax;
  }

  /** Calls back once when the messages of the topic until now are confirmed, or have failed. */
  whenConfirmed(topic: string, call: () => void): void {
    const entry = this.#byTopic.get(topic);
    if (entry === undefined) call();
    else entry.calls.push(call);
  }

  /** Calls back once when it is not full any more. One call waits at a time. */
  whenRoom(call: () => void): void {
    this.#whenRoom = call;
  }

  onConfirmation(confirmation: ReceiverConfirmation): void {
    const topic = this.#topicOf.get(confirmation);
    this.#topicOf.delete(confirmation);
    const entry = topic === undefined ? undefined : this.#byTopic.get(topic);
    if (entry !== undefined && topic !== undefined && --entry.open === 0) {
      this.#byTopic.delete(topic);
      for (const call of entry.calls) call();
    }
    if (this.isFull || this.#whenRoom === undefined) return;
    const call = this.#whenRoom;
    this.#whenRoom = undefined;
    call();
  }
}
