/**
 * Publishes in bursts, as fast as the receivers get the messages: always with a limited number on the way.
 *
 * @module
 */
import type { LoadClient } from './load-client.ts';

export interface BurstLimits {
  /** Messages that a publisher writes together. */
  readonly inOneWrite: number;
  /** How many deliveries one message causes. */
  readonly receivers: number;
  /** Deliveries on the way: enough to keep a broker busy, fewer than any limit of its queues. */
  readonly inFlightMax: number;
}

/** Messages of one publisher that are not acknowledged. */
const unacknowledgedMax = 50;

export class BurstPump {
  /** The number of deliveries so far. */
  delivered = 0;
  readonly #publishers: () => readonly LoadClient[];
  readonly #limits: BurstLimits;
  #published = 0;
  #turn = 0;
  #isScheduled = false;
  #isOver = false;

  /** @param publishers a function, because they may be connected later; they publish in turn */
  constructor(publishers: () => readonly LoadClient[], limits: BurstLimits) {
    this.#publishers = publishers;
    this.#limits = limits;
  }

  /** Deliveries that have not arrived. */
  get missing(): number {
    return this.#published * this.#limits.receivers - this.delivered;
  }

  /** A message was delivered. */
  readonly received = (): void => {
    this.delivered++;
    this.wake();
  };

  /** There may be room for more, in the next turn of the event loop. */
  readonly wake = (): void => {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.start());
  };

  /** Publishes as much as may be on the way. */
  start(): void {
    this.#isScheduled = false;
    const { inOneWrite, receivers, inFlightMax } = this.#limits;
    const publishers = this.#publishers();
    for (let idle = 0; idle < publishers.length && !this.#isOver;) {
      if (this.missing + inOneWrite * receivers > inFlightMax) return;
      const publisher = publishers[this.#turn++ % publishers.length];
      if (publisher === undefined || publisher.inflight + inOneWrite > unacknowledgedMax) {
        idle++;
        continue;
      }
      idle = 0;
      publisher.publish(inOneWrite);
      this.#published += inOneWrite;
    }
  }

  stop(): void {
    this.#isOver = true;
  }
}
