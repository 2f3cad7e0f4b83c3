/**
 * What the outbound queue of a session needs from the connection that sends its packets.
 *
 * @module
 */
import type { Message } from './message.ts';

/** One message on its way to one client at QoS 1 or 2. */
export interface OutboundDelivery {
  readonly message: Message;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
  /** Its number in the queue of the store; 0 if it is not in the store. */
  readonly sequence: number;
  /** The packet id under which an earlier connection sent it (it is sent again with DUP); else 0. */
  readonly packetId: number;
}

export interface PacketSink {
  /** Whether the connection accepts more bytes; false while its client does not read. */
  readonly hasRoom: boolean;
  /** Sends at QoS 0. If there is no room, the message is dropped and counted. */
  sendQos0(message: Message, retain: boolean, identifiers: readonly number[]): void;
  /**
   * Sends at QoS 1 or 2.
   *
   * @param afterCommit whether the packet must wait until the store has committed
   * @returns why it was not sent: the client does not accept packets of its size, or a plug-in
   *   refused it
   */
  sendWithPacketId(
    delivery: OutboundDelivery,
    packetId: number,
    afterCommit: boolean,
  ): 'too-large' | 'not-allowed' | undefined;
  sendRelease(packetId: number, afterCommit: boolean): void;
}
