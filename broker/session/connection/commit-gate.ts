/**
 * What one connection is owed in this turn: what may leave at its end, and what waits for the store.
 * Nothing leaves before CONNACK, and acknowledgements keep their order [MQTT-4.6.0-2]: what has
 * nothing to wait for stands behind what has.
 *
 * @module
 */
import type { Flushable, Flusher } from './write-scheduler.ts';
import type { Outbox } from '../output/write-batch.ts';
import type { Services } from '../state/context.ts';

/** What the departures of all connections share. */
export interface DeparturesHost {
  readonly services: Services;
  readonly flusher: Flusher;
}

export class Departures {
  /** PUBACKs that have not left, because the store did not commit. */
  pubacksHeld = 0;
  readonly #owner: Flushable;
  readonly #host: DeparturesHost;
  #box: Outbox | undefined = undefined;
  #gatedBox: Outbox | undefined = undefined;
  /** PUBACKs in the gated box, and in each of those on their way through the store. */
  #gatedPubacks = 0;
  #pubacksOnTheWay: number[] | undefined = undefined;
  #connackLeft = false;

  constructor(owner: Flushable, host: DeparturesHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** What stands here. What is on its way through the store is not counted. */
  get bytes(): number {
    return (this.#box?.bytes ?? 0) + (this.#gatedBox?.bytes ?? 0);
  }

  /** CONNACK has left, or is what comes next: what comes from now on may leave. */
  open(): void {
    this.#connackLeft = true;
  }

  /**
   * Where a packet goes.
   *
   * @param afterCommit it must not leave before what was put in the store is durable
   */
  box(afterCommit: boolean): Outbox {
    const waits = !this.#connackLeft || (afterCommit && this.#host.services.store.pending);
    return waits ? this.#openGatedBox() : this.#openBox();
  }

  /** Where a packet goes that must not leave before what waits for the store. */
  orderedBox(afterCommit: boolean): Outbox {
    const behind = this.#gatedBox !== undefined || (this.#pubacksOnTheWay?.length ?? 0) > 0;
    return behind ? this.#openGatedBox() : this.box(afterCommit);
  }

  /** Where PUBACK goes: in order, and counted while it waits. */
  pubackBox(afterCommit: boolean): Outbox {
    const box = this.orderedBox(afterCommit);
    if (box === this.#gatedBox) {
      this.pubacksHeld++;
      this.#gatedPubacks++;
    }
    return box;
  }

  /** Where CONNACK goes. */
  connackBox(afterCommit: boolean): Outbox {
    if (afterCommit && this.#host.services.store.pending) return this.#openGatedBox();
    this.open();
    return this.#openBox();
  }

  /** Takes what may leave; undefined when there is nothing. */
  take(): Outbox | undefined {
    const box = this.#box;
    this.#box = undefined;
    return box;
  }

  /** Takes what waits for the store, to go its way through it; undefined when there is nothing. */
  takeGated(): Outbox | undefined {
    const box = this.#gatedBox;
    if (box === undefined) return undefined;
    this.#gatedBox = undefined;
    (this.#pubacksOnTheWay ??= []).push(this.#gatedPubacks);
    this.#gatedPubacks = 0;
    return box;
  }

  /** The oldest of what was taken so is through. `leaves`: else it is forgotten. */
  release(box: Outbox, leaves: boolean): void {
    this.pubacksHeld -= this.#pubacksOnTheWay?.shift() ?? 0;
    if (leaves) {
      this.open();
      this.#openBox().addAll(box);
    }
    this.#host.services.boxes.give(box);
  }

  #openBox(): Outbox {
    if (this.#box === undefined) {
      this.#box = this.#host.services.boxes.take();
      this.#host.flusher.ready(this.#owner);
    }
    return this.#box;
  }

  #openGatedBox(): Outbox {
    if (this.#gatedBox === undefined) {
      this.#gatedBox = this.#host.services.boxes.take();
      this.#host.flusher.gated(this.#owner);
    }
    return this.#gatedBox;
  }
}
