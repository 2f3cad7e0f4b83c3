/**
 * The bytes of one delivery as one client takes it: its protocol, its aliases, what is left of the
 * expiry interval, and its Maximum Packet Size [MQTT-3.1.2-24].
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import type { AliasesOut } from '../connection/topic-aliases.ts';
import { deliveryProperties, type Encoded, type Message } from './message.ts';

/** What a client takes. */
export interface Taker {
  /** Whether it speaks 5.0. */
  readonly five: boolean;
  /** What the client takes, in bytes; 0: anything. */
  readonly packetOutMaxBytes: number;
  readonly aliasesOut: AliasesOut | undefined;
}

/** The delivery's bytes; undefined when they are more than the client takes. */
export function deliveryBytes(
  taker: Taker,
  message: Message,
  numbered: boolean,
  identifiers: readonly number[],
  clock: Clock,
): Encoded | undefined {
  const { five, aliasesOut } = taker;
  let encoded: Encoded;
  if (
    !five ||
    (aliasesOut === undefined && identifiers.length === 0 && message.expiresAtMs === 0)
  ) {
    encoded = message.encoded(five, numbered);
  } else if (aliasesOut === undefined) {
    const left = message.expiryLeftSeconds(clock.now());
    encoded = message.variant(numbered, left, identifiers);
  } else {
    const { alias, known } = aliasesOut.of(message.topic);
    const left = message.expiryLeftSeconds(clock.now());
    const properties = deliveryProperties(message, left, identifiers, alias);
    encoded = message.encode(true, numbered, properties, known ? '' : message.topic);
    if (!fits(taker, encoded.end - encoded.start)) aliasesOut.forget(message.topic);
  }
  return fits(taker, encoded.end - encoded.start) ? encoded : undefined;
}

/** Whether the client takes a packet of so many bytes. */
export function fits({ packetOutMaxBytes }: Taker, bytes: number): boolean {
  return packetOutMaxBytes === 0 || bytes <= packetOutMaxBytes;
}
