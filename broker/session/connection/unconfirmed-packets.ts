/**
 * The packets of one connection that wait for confirmations of other partitions (`delivery/receiver-confirmation.ts`), and
 * the packets behind them that must not overtake them. They leave in order. Packets of other connections
 * never wait for them.
 *
 * The packets of one turn of the event loop are one group. It may leave when the commit of that turn is done,
 * all its confirmations have arrived, and the groups before it have left.
 *
 * @module
 */
import type {
  ReceiverConfirmation,
  ConfirmationWaiter,
} from '../delivery/receiver-confirmation.ts';
import type { WriteBatch, WriteBatchPool } from '../output/write-batch.ts';
import type { CommitTarget, WriteScheduler } from './write-scheduler.ts';

/** How many confirmations one connection may wait for before it is not read any more. */
const confirmationsPerConnectionMax = 1024;

/** What the packets wait in. */
export interface UnconfirmedHost {
  readonly batches: WriteBatchPool;
  readonly scheduler: Pick<WriteScheduler, 'readyAfterCommit'>;
  /** How many packets may wait before the connection is not read any more. */
  readonly packetsMax: number;
  /** Packets may leave. The batch is valid during the call. */
  onReleasable(batch: WriteBatch, pubacks: number): void;
  /** After {@link onReleasable}, for all packets that may leave now. */
  onReleased(): void;
  /** The packets must never leave, and were discarded. */
  onDiscarded(reason: 'store-write-failed' | 'delivery-unconfirmed'): void;
}

export class UnconfirmedPackets implements CommitTarget {
  #packets = 0;
  #confirmations = 0;
  /** The bytes of all groups except the open one. */
  #sealedBytes = 0;
  readonly #host: UnconfirmedHost;
  readonly #groups: PacketGroup[] = [];
  /** The group of this turn: the last of `#groups`. */
  #open: PacketGroup | undefined = undefined;
  readonly #onCompleted = (failed: boolean): void => {
    this.#confirmations--;
    if (failed) {
      this.discard();
      this.#host.onDiscarded('delivery-unconfirmed');
    } else this.#release();
  };

  constructor(host: UnconfirmedHost) {
    this.#host = host;
  }

  get isEmpty(): boolean {
    return this.#groups.length === 0;
  }

  /** The bytes that wait here. */
  get bytes(): number {
    return this.#sealedBytes + (this.#open?.batch.bytes ?? 0);
  }

  /** Whether the connection must not be read until packets have left. */
  get isFull(): boolean {
    return (
      this.#packets >= this.#host.packetsMax || this.#confirmations >= confirmationsPerConnectionMax
    );
  }

  /** The packets of this turn, and those behind them, wait for these confirmations too. All of them are open. */
  await(confirmations: readonly ReceiverConfirmation[]): void {
    const group = this.#openGroup();
    for (const confirmation of confirmations) {
      if (group.await(confirmation)) this.#confirmations++;
    }
  }

  /** The batch for one packet. @param isPuback counted until it leaves */
  batchFor(isPuback: boolean): WriteBatch {
    const group = this.#openGroup();
    group.packets++;
    this.#packets++;
    if (isPuback) group.pubacks++;
    return group.batch;
  }

  /** Calls back after the packets of this turn, and those before them, were released; never if they are discarded. */
  whenReleased(call: () => void): void {
    this.#openGroup().calls.push(call);
  }

  takeAwaitingCommit(): WriteBatch | undefined {
    const batch = this.#open?.batch;
    this.#sealedBytes += batch?.bytes ?? 0;
    this.#open = undefined;
    return batch;
  }

  onCommit(batch: WriteBatch, failed: boolean): void {
    const group = this.#groups.find((one) => one.batch === batch);
    // The packets were discarded in the meantime.
    if (group === undefined) return;
    if (failed) {
      this.discard();
      this.#host.onDiscarded('store-write-failed');
      return;
    }
    group.isCommitted = true;
    this.#release();
  }

  /** Discards all packets: the connection is closed, or they must never leave. */
  discard(): void {
    for (const group of this.#groups) {
      group.stopWaiting();
      // The batch of a commit that is under way is not reused: the scheduler still knows it.
      if (group.isCommitted || group === this.#open) this.#host.batches.release(group.batch);
    }
    this.#groups.length = 0;
    this.#open = undefined;
    this.#sealedBytes = 0;
  }

  #openGroup(): PacketGroup {
    if (this.#open === undefined) {
      this.#open = new PacketGroup(this.#host.batches.acquire(), this.#onCompleted);
      this.#groups.push(this.#open);
      this.#host.scheduler.readyAfterCommit(this);
    }
    return this.#open;
  }

  #release(): void {
    const calls: (() => void)[] = [];
    let hasReleased = false;
    for (;;) {
      const first = this.#groups[0];
      if (first?.isReleasable !== true) break;
      this.#groups.shift();
      this.#packets -= first.packets;
      this.#sealedBytes -= first.batch.bytes;
      hasReleased = true;
      this.#host.onReleasable(first.batch, first.pubacks);
      this.#host.batches.release(first.batch);
      calls.push(...first.calls);
    }
    if (!hasReleased) return;
    // Before the connection is read again: what it sends next is behind them.
    for (const call of calls) call();
    this.#host.onReleased();
  }
}

/** The packets of one turn. */
class PacketGroup implements ConfirmationWaiter {
  readonly batch: WriteBatch;
  packets = 0;
  pubacks = 0;
  isCommitted = false;
  /** Called when they were released. */
  readonly calls: (() => void)[] = [];
  readonly #awaited = new Set<ReceiverConfirmation>();
  readonly #onCompleted: (failed: boolean) => void;

  constructor(batch: WriteBatch, onCompleted: (failed: boolean) => void) {
    this.batch = batch;
    this.#onCompleted = onCompleted;
  }

  get isReleasable(): boolean {
    return this.isCommitted && this.#awaited.size === 0;
  }

  /** @returns false if it waits for it already */
  await(confirmation: ReceiverConfirmation): boolean {
    if (this.#awaited.has(confirmation)) return false;
    this.#awaited.add(confirmation);
    confirmation.add(this);
    return true;
  }

  onConfirmation(confirmation: ReceiverConfirmation, failed: boolean): void {
    this.#awaited.delete(confirmation);
    this.#onCompleted(failed);
  }

  stopWaiting(): void {
    for (const confirmation of this.#awaited) confirmation.remove(this);
    this.#awaited.clear();
  }
}
