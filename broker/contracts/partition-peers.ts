/**
 * The contract for the links between the partitions of a fleet: each pair of partitions has one link of two
 * streams. On the data stream, both ends are MQTT connections of their session layers; on the other one they
 * announce what their clients subscribe to.
 *
 * @module
 */
import type { Wire } from './connection-wire.ts';

/** What waits for another partition, or is on its way. */
export interface PeerQueue {
  readonly peer: string;
  readonly messages: number;
  readonly bytes: number;
}

export interface PartitionPeers {
  /**
   * Uses a new link to another partition. It replaces an earlier one, which is closed. The caller has
   * authenticated the other end. Both wires are closed when one of them closes, or when the other end violates
   * the protocol; the caller then makes a new link, and whatever was not acknowledged is sent again.
   *
   * @param peer the name of the partition; both wires of an unknown one are closed
   * @param data carries messages
   * @param interest carries announcements of subscriptions
   */
  connect(peer: string, data: Wire, interest: Wire): void;
  /** The partitions with a link on which both sides know the subscriptions of the other one. */
  readonly connected: readonly string[];
  /** One entry for each other partition. */
  readonly queued: readonly PeerQueue[];
}
