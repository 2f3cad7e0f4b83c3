/**
 * The bytes of one delivery as one client takes it: its protocol, its aliases, what is left of the
 * expiry interval, and its Maximum Packet Size [MQTT-3.1.2-24].
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import type { OutboundAliases } from './topic-aliases.ts';
import { deliveryProperties, type Encoded, type Message } from './message.ts';

/** What a client takes. */
export interface DeliveryTarget {
  /** Whether it speaks 5.0. */
  readonly isMqtt5: boolean;
  /** What the client takes, in bytes; 0: anything. */
  readonly packetOutMaxBytes: number;
  readonly outboundAliases: OutboundAliases | undefined;
}

/** The delivery's bytes; undefined when they are more than the client takes. */
export function deliveryBytes(
  taker: DeliveryTarget,
  message: Message,
  numbered: boolean,
  identifiers: readonly number[],
  clock: Clock,
): Encoded | undefined {
  const { isMqtt5, outboundAliases } = taker;
  let encoded: Encoded;
  if (
    !isMqtt5 ||
    (outboundAliases === undefined && identifiers.length === 0 && message.expiresAtMs === 0)
  ) {
    encoded = message.sharedEncoding(isMqtt5, numbered);
  } else if (outboundAliases === undefined) {
    const left = message.expiryLeftSeconds(clock.now());
    encoded = message.variant(numbered, left, identifiers);
  } else {
    const { alias, known } = outboundAliases.of(message.topic);
    const left = message.expiryLeftSeconds(clock.now());
    const properties = deliveryProperties(message, left, identifiers, alias);
    encoded = message.encode(true, numbered, properties, known ? '' : message.topic);
    if (!fitsClient(taker, encoded.end - encoded.start)) outboundAliases.forget(message.topic);
  }
  return fitsClient(taker, encoded.end - encoded.start) ? encoded : undefined;
}

/** Whether the client takes a packet of so many bytes. */
export function fitsClient({ packetOutMaxBytes }: DeliveryTarget, bytes: number): boolean {
  return packetOutMaxBytes === 0 || bytes <= packetOutMaxBytes;
}
