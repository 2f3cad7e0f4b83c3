/**
 * The bytes of one delivery for one client: its protocol version, its topic aliases, the remaining
 * expiry interval, and its Maximum Packet Size [MQTT-3.1.2-24].
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import type { OutboundAliases } from './topic-aliases.ts';
import { deliveryProperties, type EncodedPublish, type Message } from './message.ts';

/** What a client accepts. */
export interface DeliveryTarget {
  readonly isMqtt5: boolean;
  /** The client's Maximum Packet Size in bytes; 0: no limit. */
  readonly packetOutMaxBytes: number;
  readonly outboundAliases: OutboundAliases | undefined;
}

/**
 * The encoded packet; undefined if it is larger than the client accepts.
 *
 * @param mayIntroduceAlias false for a packet that can be overtaken: a packet behind it would use the
 *   topic alias before the client knows it (a Protocol Error by section 3.3.2.3.4)
 */
export function deliveryBytes(
  target: DeliveryTarget,
  message: Message,
  withPacketId: boolean,
  identifiers: readonly number[],
  clock: Clock,
  mayIntroduceAlias: boolean,
): EncodedPublish | undefined {
  const { isMqtt5, outboundAliases } = target;
  let encoded: EncodedPublish;
  if (
    !isMqtt5 ||
    (outboundAliases === undefined && identifiers.length === 0 && message.expiresAtMs === 0)
  ) {
    encoded = message.encodedForAll(isMqtt5, withPacketId);
  } else if (outboundAliases === undefined) {
    const leftSeconds = message.expiryLeftSeconds(clock.now());
    encoded = message.encodedFor(withPacketId, leftSeconds, identifiers);
  } else {
    const { alias, known } = outboundAliases.of(message.topic, mayIntroduceAlias);
    const leftSeconds = message.expiryLeftSeconds(clock.now());
    const properties = deliveryProperties(message, leftSeconds, identifiers, alias);
    encoded = message.encode(true, withPacketId, properties, known ? '' : message.topic);
    if (!known && !fitsClient(target, encoded.end - encoded.start)) {
      outboundAliases.forget(message.topic);
    }
  }
  return fitsClient(target, encoded.end - encoded.start) ? encoded : undefined;
}

/** Whether the client accepts a packet of this size. */
export function fitsClient({ packetOutMaxBytes }: DeliveryTarget, bytes: number): boolean {
  return packetOutMaxBytes === 0 || bytes <= packetOutMaxBytes;
}
