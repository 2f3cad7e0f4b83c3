/**
 * The messages from another node to this one: a pure state machine without sockets and timers.
 *
 * Batches are applied in the order of their numbers, each once. A batch that was applied before is only
 * acknowledged again; after a gap the sender gets a report of what is missing. The acknowledgement is sent
 * when what the batches changed is durable, together with their number: then a restart of this node neither loses
 * nor repeats anything.
 *
 * @module
 */
import { encodePeerHeader, type PeerPacket } from './peer-packet.ts';

/** How far the messages of another node were applied. Durable in the same transaction as what they changed. */
export interface PeerPosition {
  /** The incarnation of the other node; 0: none yet. */
  readonly incarnation: number;
  /** The number of its last batch that was applied. */
  readonly number: number;
}

export interface BatchReceiverOptions {
  /** Grows with each start of this node. */
  readonly incarnation: number;
  /** The durable position of the last run. */
  readonly position: PeerPosition;
  /** Applies the messages of a batch, in order. `position` is to become durable together with them; undefined: they have none. */
  readonly apply: (records: Buffer, position: PeerPosition | undefined) => void;
  /** Calls back when everything that was applied before is durable, in the order of the calls; never if it fails. */
  readonly afterCommit: (call: () => void) => void;
  /** Passes a packet to the connection, which may lose it. */
  readonly send: (packet: Buffer) => void;
}

export class BatchReceiver {
  readonly #options: BatchReceiverOptions;
  /** The incarnation of the other node; 0: not known. */
  #peer: number;
  /** The last batch that was applied. */
  #applied: number;
  /** The last batch that is durable. */
  #committed: number;
  /** Whether something was applied, or must be acknowledged again, since the last {@link flush}. */
  #mustAcknowledge = false;
  /** Whether the gap was reported to the sender. */
  #hasReported = false;

  constructor(options: BatchReceiverOptions) {
    this.#options = options;
    this.#peer = options.position.incarnation;
    this.#applied = this.#committed = options.position.number;
  }

  get position(): PeerPosition {
    return { incarnation: this.#peer, number: this.#applied };
  }

  onBatch(packet: PeerPacket): void {
    if (!this.#isCurrent(packet)) return;
    // The sender does not know this run yet, so that its batch may belong behind something that was lost.
    if (packet.to !== this.#options.incarnation) return this.#reportOnce();
    if (packet.unnumbered.length > 0 && packet.number === 0) {
      this.#options.apply(packet.unnumbered, undefined);
      return;
    }
    const { number } = packet;
    if (number > this.#applied + 1) {
      this.#reportOnce();
    } else if (number <= this.#applied) {
      this.#mustAcknowledge = true;
    } else {
      this.#applied = number;
      this.#hasReported = false;
      this.#mustAcknowledge = true;
      this.#options.apply(packet.numbered, { incarnation: this.#peer, number });
    }
    if (packet.unnumbered.length > 0) this.#options.apply(packet.unnumbered, undefined);
  }

  onProbe(packet: PeerPacket): void {
    if (this.#isCurrent(packet)) this.#report();
  }

  /** The end of a turn: one acknowledgement for all batches of the turn, after the commit. */
  flush(): void {
    if (!this.#mustAcknowledge) return;
    this.#mustAcknowledge = false;
    const peer = this.#peer;
    const applied = this.#applied;
    this.#options.afterCommit(() => {
      // The sender was started again in the meantime, and has begun a new series.
      if (peer !== this.#peer) return;
      if (applied > this.#committed) this.#committed = applied;
      this.#send('ack', 0);
    });
  }

  /** Whether a packet is of the current run of the sender. A newer one begins a new series of numbers. */
  #isCurrent({ from, confirmed }: PeerPacket): boolean {
    if (from < this.#peer) return false;
    if (from > this.#peer) {
      this.#peer = from;
      this.#applied = this.#committed = 0;
      this.#hasReported = false;
      this.#mustAcknowledge = false;
    }
    // An earlier run of this node has acknowledged them, and its state is lost: they are not sent again.
    if (confirmed > this.#applied) this.#applied = confirmed;
    if (confirmed > this.#committed) this.#committed = confirmed;
    return true;
  }

  /** Reports a gap, once until it is closed. If the report is lost, the sender asks. */
  #reportOnce(): void {
    if (this.#hasReported) return;
    this.#hasReported = true;
    this.#report();
  }

  #report(): void {
    this.#send('report', this.#applied);
  }

  #send(kind: 'ack' | 'report', number: number): void {
    const { incarnation, send } = this.#options;
    const confirmed = this.#committed;
    send(encodePeerHeader({ kind, from: incarnation, to: this.#peer, number, confirmed }));
  }
}
