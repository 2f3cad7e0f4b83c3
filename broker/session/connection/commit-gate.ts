/**
 * Decides which packets of one connection may leave at the end of this turn of the event loop and which
 * must wait for the commit of the store.
 *
 * Nothing leaves before CONNACK. Acknowledgements keep their order [MQTT-4.6.0-2]: one that would not
 * have to wait queues behind one that does.
 *
 * @module
 */
import type { FlushTarget, WriteScheduler } from './write-scheduler.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';

/** What the gates of all connections share. */
export interface CommitGateHost {
  readonly context: SessionContext;
  readonly scheduler: WriteScheduler;
}

export class CommitGate {
  /** The PUBACK packets that wait for the commit. */
  pubacksPending = 0;
  readonly #owner: FlushTarget;
  readonly #host: CommitGateHost;
  #batch: WriteBatch | undefined = undefined;
  #batchAfterCommit: WriteBatch | undefined = undefined;
  /** The PUBACK packets in `#batchAfterCommit`. */
  #pubacksAfterCommit = 0;
  /** The PUBACK packets in each batch that was passed to the store and has not been committed. */
  #pubacksCommitting: number[] | undefined = undefined;
  #connackSent = false;

  constructor(owner: FlushTarget, host: CommitGateHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** The bytes that wait here. Batches that were passed to the store do not count. */
  get bytes(): number {
    return (this.#batch?.bytes ?? 0) + (this.#batchAfterCommit?.bytes ?? 0);
  }

  /** Whether packets wait for a commit, here or in the store. */
  get awaitsCommit(): boolean {
    return this.#batchAfterCommit !== undefined || (this.#pubacksCommitting?.length ?? 0) > 0;
  }

  /** Whether CONNACK was sent or is the next packet. */
  get isOpen(): boolean {
    return this.#connackSent;
  }

  /** CONNACK was sent or is the next packet: from now on packets may leave. */
  open(): void {
    this.#connackSent = true;
  }

  /**
   * The batch for a packet.
   *
   * @param stored whether the packet confirms something that was put in the store
   */
  batchFor(stored: boolean): WriteBatch {
    return this.leavesAtOnce(stored) ? this.#openBatch() : this.#openBatchAfterCommit();
  }

  /**
   * Whether {@link batchFor} returns the batch that leaves at the end of this turn. Packets of the other
   * batch can be overtaken.
   */
  leavesAtOnce(stored: boolean): boolean {
    return this.#connackSent && !this.#waitsForCommit(stored);
  }

  /** The batch for a packet that must not overtake the packets that wait for the commit. */
  orderedBatchFor(stored: boolean): WriteBatch {
    return this.awaitsCommit ? this.#openBatchAfterCommit() : this.batchFor(stored);
  }

  /** The batch for a PUBACK: in order, and counted while it waits. */
  pubackBatchFor(stored: boolean): WriteBatch {
    const batch = this.orderedBatchFor(stored);
    if (batch === this.#batchAfterCommit) {
      this.pubacksPending++;
      this.#pubacksAfterCommit++;
    }
    return batch;
  }

  /** The batch for CONNACK. */
  connackBatchFor(stored: boolean): WriteBatch {
    if (this.#waitsForCommit(stored)) return this.#openBatchAfterCommit();
    this.open();
    return this.#openBatch();
  }

  /** Takes the packets that may leave; undefined if there are none. */
  take(): WriteBatch | undefined {
    const batch = this.#batch;
    this.#batch = undefined;
    return batch;
  }

  /** Takes the packets that wait for the commit which begins now; undefined if there are none. */
  takeAwaitingCommit(): WriteBatch | undefined {
    const batch = this.#batchAfterCommit;
    if (batch === undefined) return undefined;
    this.#batchAfterCommit = undefined;
    (this.#pubacksCommitting ??= []).push(this.#pubacksAfterCommit);
    this.#pubacksAfterCommit = 0;
    return batch;
  }

  /**
   * The oldest batch from {@link takeAwaitingCommit} was committed.
   *
   * @param send false: its packets are discarded, because the commit failed or the connection is cut
   */
  release(batch: WriteBatch, send: boolean): void {
    this.pubacksPending -= this.#pubacksCommitting?.shift() ?? 0;
    if (send) {
      this.open();
      this.#openBatch().addAll(batch);
    }
    this.#host.context.batches.release(batch);
  }

  /** The one place that decides whether a packet waits for the commit. */
  #waitsForCommit(stored: boolean): boolean {
    return stored && this.#host.context.store.pending;
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
