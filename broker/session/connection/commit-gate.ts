/**
 * Decides which packets of one connection may leave at the end of this turn of the event loop, which must
 * wait for the commit of the store, and which also for other partitions.
 *
 * Nothing leaves before CONNACK. Acknowledgements keep their order [MQTT-4.6.0-2]: one that would not
 * have to wait queues behind one that does. Messages for the client and PUBREL never wait for confirmations.
 *
 * @module
 */
import type { CommitTarget, FlushTarget, WriteScheduler } from './write-scheduler.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { WriteBatch, WriteBatchPool } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';
import { UnconfirmedPackets, type UnconfirmedHost } from './unconfirmed-packets.ts';

/** What the gates of all connections share. */
export interface CommitGateHost {
  readonly context: SessionContext;
  readonly scheduler: WriteScheduler;
}

/** The connection of a gate. */
export interface CommitGateOwner extends FlushTarget, CommitTarget {
  /** How many QoS 1 and 2 messages the client may have unacknowledged. */
  readonly receiveMaximum: number;
  /** The connection must not be read until {@link onConfirmed}. */
  pauseForConfirmations(): void;
  /** Packets that waited for confirmations may leave. */
  onConfirmed(): void;
  /** Packets that waited for confirmations were discarded: they must not be sent. */
  onUnconfirmed(reason: 'store-write-failed' | 'delivery-unconfirmed'): void;
}

export class CommitGate implements UnconfirmedHost {
  /** The PUBACK packets that wait. */
  pubacksPending = 0;
  readonly #owner: CommitGateOwner;
  readonly #host: CommitGateHost;
  #batch: WriteBatch | undefined = undefined;
  #batchAfterCommit: WriteBatch | undefined = undefined;
  /** What waits for CONNACK only. It leaves directly behind it, so that later messages do not overtake it. */
  #batchAfterConnack: WriteBatch | undefined = undefined;
  /** The PUBACK packets in `#batchAfterCommit`. */
  #pubacksAfterCommit = 0;
  /** The PUBACK packets in each batch that was passed to the store and has not been committed. */
  #pubacksCommitting: number[] | undefined = undefined;
  #connackSent = false;
  /** Set while packets wait for confirmations of other partitions. */
  #unconfirmed: UnconfirmedPackets | undefined = undefined;

  constructor(owner: CommitGateOwner, host: CommitGateHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** The bytes that wait here. Batches that were passed to the store do not count. */
  get bytes(): number {
    return (
      (this.#batch?.bytes ?? 0) +
      (this.#batchAfterCommit?.bytes ?? 0) +
      (this.#batchAfterConnack?.bytes ?? 0) +
      (this.#unconfirmed?.bytes ?? 0)
    );
  }

  /** Whether packets wait for a commit only, here or in the store. */
  get awaitsCommit(): boolean {
    return this.#batchAfterCommit !== undefined || (this.#pubacksCommitting?.length ?? 0) > 0;
  }

  /** Whether packets wait for a commit or for confirmations. */
  get isWaiting(): boolean {
    return this.awaitsCommit || this.#unconfirmed !== undefined;
  }

  /** Whether so many packets wait for confirmations that the connection must not be read. */
  get isFull(): boolean {
    return this.#unconfirmed?.isFull === true;
  }

  get batches(): WriteBatchPool {
    return this.#host.context.batches;
  }

  get scheduler(): WriteScheduler {
    return this.#host.scheduler;
  }

  get packetsMax(): number {
    return this.#owner.receiveMaximum;
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
    if (this.#waitsForCommit(stored)) return this.#openBatchAfterCommit();
    if (this.#connackSent) return this.#openBatch();
    return (this.#batchAfterConnack ??= this.batches.acquire());
  }

  /**
   * Whether {@link batchFor} returns the batch that leaves at the end of this turn. Packets of the other
   * batch can be overtaken.
   */
  leavesAtOnce(stored: boolean): boolean {
    return this.#connackSent && !this.#waitsForCommit(stored);
  }

  /**
   * The acknowledgements from now on wait for the commit and for these confirmations, and those behind them
   * keep their order. What has been confirmed already is ignored; none of them has failed.
   */
  awaitConfirmations(confirmations: readonly ReceiverConfirmation[]): void {
    const open = confirmations.filter(({ isOpen }) => isOpen);
    if (open.length > 0) (this.#unconfirmed ??= new UnconfirmedPackets(this)).await(open);
  }

  /** Calls back when the packets before it no longer wait for confirmations; never if they are discarded. */
  whenConfirmed(call: () => void): void {
    if (this.#unconfirmed === undefined) call();
    else this.#unconfirmed.whenReleased(call);
  }

  /** The batch for a packet that must not overtake the packets that wait. */
  orderedBatchFor(stored: boolean): WriteBatch {
    if (this.#unconfirmed !== undefined) return this.#unconfirmedBatch(this.#unconfirmed, false);
    return this.awaitsCommit ? this.#openBatchAfterCommit() : this.batchFor(stored);
  }

  /** The batch for a PUBACK: in order, and counted while it waits. */
  pubackBatchFor(stored: boolean): WriteBatch {
    if (this.#unconfirmed !== undefined) return this.#unconfirmedBatch(this.#unconfirmed, true);
    const batch = this.awaitsCommit ? this.#openBatchAfterCommit() : this.batchFor(stored);
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
    this.batches.release(batch);
    const waited = this.#batchAfterConnack;
    if (waited === undefined) return;
    this.#batchAfterConnack = undefined;
    if (send) this.#openBatch().addAll(waited);
    this.batches.release(waited);
  }

  /** The packets that wait for confirmations are not sent: the connection is closed. */
  discardUnconfirmed(): void {
    this.#unconfirmed?.discard();
    this.#unconfirmed = undefined;
  }

  onReleasable(batch: WriteBatch, pubacks: number): void {
    this.pubacksPending -= pubacks;
    this.#openBatch().addAll(batch);
  }

  onReleased(): void {
    if (this.#unconfirmed?.isEmpty === true) this.#unconfirmed = undefined;
    this.#owner.onConfirmed();
  }

  onDiscarded(reason: 'store-write-failed' | 'delivery-unconfirmed'): void {
    this.#unconfirmed = undefined;
    this.#owner.onUnconfirmed(reason);
  }

  #unconfirmedBatch(unconfirmed: UnconfirmedPackets, isPuback: boolean): WriteBatch {
    const batch = unconfirmed.batchFor(isPuback);
    if (isPuback) this.pubacksPending++;
    if (unconfirmed.isFull) this.#owner.pauseForConfirmations();
    return batch;
  }

  /**
   * The one place that decides whether a packet waits for the commit. One that has nothing to wait for any more does
   * not overtake those that still wait for their turn: messages that are sent again keep their order.
   */
  #waitsForCommit(stored: boolean): boolean {
    return stored && (this.#host.context.store.pending || this.awaitsCommit);
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
