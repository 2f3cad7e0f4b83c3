/**
 * Records what clients publish, what is acknowledged, and what arrives. Each payload contains its topic and number.
 *
 * @module
 */
import type { LoadQos } from '../load/frames.ts';
import type { StreamFacts } from './ledger-check.ts';

interface Stream extends StreamFacts {
  published: number;
  readonly acknowledged: Set<number>;
  readonly received: Map<string, number[]>;
  /** When messages that are not acknowledged were published, as `performance.now()`. */
  readonly waiting: Map<number, number>;
}

export class DeliveryLedger {
  readonly #streams = new Map<string, Stream>();
  readonly #waitsMs: number[] = [];
  /** Messages of topics that no stream has. */
  readonly unexpected: string[] = [];
  /** Grows with everything that happens. */
  progress = 0;
  acknowledged = 0;

  /**
   * @param topic of one publisher with one QoS
   * @param subscribers that must receive each message
   */
  add(topic: string, qos: LoadQos, subscribers: readonly string[]): void {
    this.#streams.set(topic, {
      ...{ topic, qos, published: 0, acknowledged: new Set(), waiting: new Map() },
      received: new Map(subscribers.map((name) => [name, []])),
    });
  }

  /** @returns the text of the next message */
  publish(topic: string): string {
    const stream = this.#streams.get(topic);
    if (stream === undefined) throw new Error(`no stream ${topic}`);
    const number = ++stream.published;
    if (stream.qos > 0) stream.waiting.set(number, performance.now());
    return `${topic} ${number}`;
  }

  /** A QoS 0 message could not be sent. */
  takeBack(topic: string): void {
    const stream = this.#streams.get(topic);
    if (stream !== undefined) stream.published--;
  }

  readonly acknowledge = (text: string): void => {
    const { stream, number } = this.#find(text);
    if (stream === undefined || stream.acknowledged.has(number)) return;
    stream.acknowledged.add(number);
    this.acknowledged++;
    this.progress++;
    const sentMs = stream.waiting.get(number);
    stream.waiting.delete(number);
    if (sentMs !== undefined) this.#waitsMs.push(performance.now() - sentMs);
  };

  receive(subscriber: string, topic: string, text: string): void {
    this.progress++;
    const { stream, number } = this.#find(text);
    const numbers = stream?.received.get(subscriber);
    if (numbers === undefined || stream?.topic !== topic) {
      this.unexpected.push(`${subscriber} ${topic}: ${text}`);
      return;
    }
    numbers.push(number);
  }

  get streams(): readonly StreamFacts[] {
    return [...this.#streams.values()];
  }

  /** The times until the acknowledgement since the last call, in ms, with those of messages that still wait. */
  takeWaitsMs(): readonly number[] {
    const nowMs = performance.now();
    const still = [...this.#streams.values()].flatMap(({ waiting }) =>
      Array.from(waiting.values(), (sentMs) => nowMs - sentMs),
    );
    return [...this.#waitsMs.splice(0), ...still];
  }

  #find(text: string): { readonly stream: Stream | undefined; readonly number: number } {
    const at = text.lastIndexOf(' ');
    return { stream: this.#streams.get(text.slice(0, at)), number: Number(text.slice(at + 1)) };
  }
}
