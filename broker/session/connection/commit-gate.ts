/**
 * What one connection is owed in this turn: what may leave at its end, and what waits for the store.
 * Nothing leaves before CONNACK, and acknowledgements keep their order [MQTT-4.6.0-2]: what has
 * nothing to wait for stands behind what has.
 *
 * @module
 */
import type { FlushTarget, WriteScheduler } from './write-scheduler.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';

/** What the departures of all connections share. */
export interface CommitGateHost {
  readonly context: SessionContext;
  readonly scheduler: WriteScheduler;
}

export class CommitGate {
  /** PUBACKs that have not left, because the store did not commit. */
  pubacksPending = 0;
  readonly #owner: FlushTarget;
  readonly #host: CommitGateHost;
  #batch: WriteBatch | undefined = undefined;
  #batchAfterCommit: WriteBatch | undefined = undefined;
  /** PUBACKs in the gated box, and in each of those on their way through the store. */
  #pubacksAfterCommit = 0;
  #pubacksCommitting: number[] | undefined = undefined;
  #connackSent = false;

  constructor(owner: FlushTarget, host: CommitGateHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** What stands here. What is on its way through the store is not counted. */
  get bytes(): number {
    return (this.#batch?.bytes ?? 0) + (this.#batchAfterCommit?.bytes ?? 0);
  }

  /** CONNACK has left, or is what comes next: what comes from now on may leave. */
  open(): void {
    this.#connackSent = true;
  }

  /**
   * Where a packet goes.
   *
   * @param afterCommit it must not leave before what was put in the store is durable
   */
  batchFor(afterCommit: boolean): WriteBatch {
    const waits = !this.#connackSent || (afterCommit && this.#host.context.store.pending);
    return waits ? this.#openBatchAfterCommit() : this.#openBatch();
  }

  /** Where a packet goes that must not leave before what waits for the store. */
  orderedBatchFor(afterCommit: boolean): WriteBatch {
    const behind =
      this.#batchAfterCommit !== undefined || (this.#pubacksCommitting?.length ?? 0) > 0;
    return behind ? this.#openBatchAfterCommit() : this.batchFor(afterCommit);
  }

  /** Where PUBACK goes: in order, and counted while it waits. */
  pubackBatchFor(afterCommit: boolean): WriteBatch {
    const batch = this.orderedBatchFor(afterCommit);
    if (batch === this.#batchAfterCommit) {
      this.pubacksPending++;
      this.#pubacksAfterCommit++;
    }
    return batch;
  }

  /** Where CONNACK goes. */
  connackBatch(afterCommit: boolean): WriteBatch {
    if (afterCommit && this.#host.context.store.pending) return this.#openBatchAfterCommit();
    this.open();
    return this.#openBatch();
  }

  /** Takes what may leave; undefined when there is nothing. */
  take(): WriteBatch | undefined {
    const batch = this.#batch;
    this.#batch = undefined;
    return batch;
  }

  /** Takes what waits for the store, to go its way through it; undefined when there is nothing. */
  takeAwaitingCommit(): WriteBatch | undefined {
    const batch = this.#batchAfterCommit;
    if (batch === undefined) return undefined;
    this.#batchAfterCommit = undefined;
    (this.#pubacksCommitting ??= []).push(this.#pubacksAfterCommit);
    this.#pubacksAfterCommit = 0;
    return batch;
  }

  /** The oldest of what was taken so is through. `leaves`: else it is forgotten. */
  release(batch: WriteBatch, leaves: boolean): void {
    this.pubacksPending -= this.#pubacksCommitting?.shift() ?? 0;
    if (leaves) {
      this.open();
      this.#openBatch().addAll(batch);
    }
    this.#host.context.batches.release(batch);
  }

  #openBatch(): WriteBatch {
    if (this.#batch === undefined) {
      this.#batch = this.#host.context.batches.acquire();
      this.#host.scheduler.ready(this.#owner);
    }
    return this.#batch;
  }

  #openBatchAfterCommit(): WriteBatch {
    if (this.#batchAfterCommit === undefined) {
      this.#batchAfterCommit = this.#host.context.batches.acquire();
      this.#host.scheduler.readyAfterCommit(this.#owner);
    }
    return this.#batchAfterCommit;
  }
}
