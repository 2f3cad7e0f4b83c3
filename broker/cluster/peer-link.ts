/**
 * Both directions between this node and another one, over a connection that keeps the order of packets and may
 * lose some of them.
 *
 * @module
 */
import { BatchReceiver, type BatchReceiverOptions } from './batch-receiver.ts';
import { BatchSender, type BatchSenderOptions } from './batch-sender.ts';
import { decodePeerPacket } from './peer-packet.ts';

export type PeerLinkOptions = BatchSenderOptions & BatchReceiverOptions;

export class PeerLink {
  readonly sender: BatchSender;
  readonly #receiver: BatchReceiver;

  constructor(options: PeerLinkOptions) {
    this.sender = new BatchSender(options);
    this.#receiver = new BatchReceiver(options);
  }

  /** A packet arrived. Bytes that are not a packet are ignored. */
  receive(bytes: Buffer, nowMs: number): void {
    const packet = decodePeerPacket(bytes);
    if (packet === undefined) return;
    if (packet.kind === 'batch') this.#receiver.onBatch(packet);
    else if (packet.kind === 'probe') this.#receiver.onProbe(packet);
    else this.sender.onAnswer(packet, nowMs);
    this.sender.peerStarted(packet.from, nowMs);
  }

  /** The end of a turn: what was gathered leaves, and what was applied is acknowledged after its commit. */
  flush(): void {
    this.sender.flush();
    this.#receiver.flush();
  }

  /** The connection was established, or interrupted for a while. */
  reconnected(nowMs: number): void {
    this.sender.reconnected(nowMs);
  }

  /** To be called regularly, a few times within `probeAfterMs`. */
  tick(nowMs: number): void {
    this.sender.tick(nowMs);
  }
}
