/**
 * A strict decoder of MQTT 5.0 properties: each must be known, allowed in its packet, in range, and
 * present at most once unless it may repeat (section 2.2.2.2, and the section of each packet).
 *
 * The decoder of mqtt-packet is not used: it groups user properties by name, so that their order is lost
 * (against [MQTT-3.3.2-18]), and it accepts repeated properties and any bytes as text.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { malformed, ProtocolFault, protocolError } from './fault.ts';
import type { PacketReader } from './reader.ts';

/** The packets that have properties. Each allows its own set. */
export type PropertyPlace =
  | 'connect'
  | 'will'
  | 'publish'
  | 'subscribe'
  | 'unsubscribe'
  | 'acknowledgement'
  | 'disconnect'
  | 'auth'
  /** A PUBLISH from another partition, which may have subscription identifiers. */
  | 'forwarded';

/** The decoded properties; -1 or undefined: absent. */
export class PropertySet {
  payloadFormat = -1;
  messageExpiry = -1;
  contentType: string | undefined = undefined;
  responseTopic: string | undefined = undefined;
  /** The last one. */
  subscriptionIdentifier = -1;
  /** How many there are. */
  subscriptionIdentifiers = 0;
  sessionExpiry = -1;
  authenticationMethod: string | undefined = undefined;
  authenticationData: Buffer | undefined = undefined;
  requestProblemInformation = -1;
  willDelay = -1;
  requestResponseInformation = -1;
  receiveMaximum = -1;
  topicAliasMaximum = -1;
  topicAlias = -1;
  maximumPacketSize = -1;
  reasonString: string | undefined = undefined;
  /**
   * The bytes of the properties that are forwarded to receivers, in order: payload format, content type,
   * response topic, correlation data, user properties [MQTT-3.3.2-4], -15, -16, -17, -18, -20.
   */
  forward: Buffer | undefined = undefined;
}

const noProperties = Object.freeze(new PropertySet());

const connect = 1;
const will = 2;
const publish = 4;
const subscribe = 8;
const unsubscribe = 16;
const acknowledgement = 32;
const disconnect = 64;
const auth = 128;
const forwarded = 256;
const everywhere = 511 & ~will;

const places: Readonly<Record<PropertyPlace, number>> = {
  connect,
  will,
  publish,
  subscribe,
  unsubscribe,
  acknowledgement,
  disconnect,
  auth,
  forwarded,
};

/** By identifier: the packets in which a client may send it. */
const allowed: readonly number[] = table({
  0x01: publish | forwarded | will,
  0x02: publish | forwarded | will,
  0x03: publish | forwarded | will,
  0x08: publish | forwarded | will,
  0x09: publish | forwarded | will,
  0x0b: subscribe | forwarded,
  0x11: connect | disconnect,
  0x15: connect | auth,
  0x16: connect | auth,
  0x17: connect,
  0x18: will,
  0x19: connect,
  0x1f: acknowledgement | disconnect | auth,
  0x21: connect,
  0x22: connect,
  0x23: publish | forwarded,
  0x26: everywhere | will,
  0x27: connect,
});

const identifierId = 0x0b;

/** The properties that concern only this connection: they are not forwarded. */
const isPerHop = (id: number): boolean =>
  id === 0x02 || id === 0x23 || id === 0x18 || id === identifierId;

/**
 * Reads the length of the properties, then the properties.
 *
 * @throws ProtocolFault malformed packet, or protocol error where the specification requires it
 */
export function readProperties(reader: PacketReader, place: PropertyPlace): PropertySet {
  const length = reader.variable();
  if (length === 0) return noProperties;
  const start = reader.at;
  const end = start + length;
  if (end > reader.end) throw malformed('the properties are longer than the packet');
  const set = new PropertySet();
  const placeBit = places[place];
  const isForwarded = place === 'publish' || place === 'will' || place === 'forwarded';
  let seen = 0;
  let seenHigh = 0;
  let cuts: number[] | undefined;
  while (reader.at < end) {
    const from = reader.at;
    const id = reader.byte();
    const allowedIn = allowed[id] ?? 0;
    if (allowedIn === 0) throw malformed(`unknown property 0x${id.toString(16)}`);
    if ((allowedIn & placeBit) === 0) throw misplaced(id, place);
    if (id !== 0x26 && !(id === identifierId && placeBit === forwarded)) {
      const bit = 1 << (id & 31);
      const seenBits = id < 32 ? seen : seenHigh;
      if ((seenBits & bit) !== 0) throw protocolError(`property 0x${id.toString(16)} is repeated`);
      if (id < 32) seen |= bit;
      else seenHigh |= bit;
    }
    readProperty(reader, set, id);
    if (reader.at > end) throw malformed('a property is longer than the property length');
    if (isForwarded && isPerHop(id)) (cuts ??= []).push(from, reader.at);
  }
  if (isForwarded) set.forward = without(reader.bytes, start, end, cuts);
  return set;
}

/**
 * Section 2.2.2.2: an identifier that is not valid for its packet type is malformed. The subscription
 * identifier is valid in PUBLISH, but only from a server [MQTT-3.3.4-6].
 */
function misplaced(id: number, place: PropertyPlace): ProtocolFault {
  if (id === 0x0b && place === 'publish') {
    return protocolError('[MQTT-3.3.4-6] a subscription identifier in PUBLISH');
  }
  return malformed(`property 0x${id.toString(16)} is not valid in ${place}`);
}

function readProperty(reader: PacketReader, set: PropertySet, id: number): void {
  switch (id) {
    case 0x01:
      set.payloadFormat = flag(reader, 'payload format indicator');
      return;
    case 0x02:
      set.messageExpiry = reader.uint32();
      return;
    case 0x03:
      set.contentType = reader.text();
      return;
    case 0x08:
      set.responseTopic = reader.text();
      // [MQTT-3.3.2-14] no wildcards.
      if (set.responseTopic.length === 0 || /[+#]/.test(set.responseTopic)) {
        throw new ProtocolFault(
          'protocol-error',
          '[MQTT-3.3.2-14] the response topic is not a topic name',
        );
      }
      return;
    case 0x09:
      reader.binary();
      return;
    case 0x0b:
      set.subscriptionIdentifier = reader.variable();
      set.subscriptionIdentifiers++;
      if (set.subscriptionIdentifier === 0) throw protocolError('subscription identifier 0');
      return;
    case 0x11:
      set.sessionExpiry = reader.uint32();
      return;
    case 0x15:
      set.authenticationMethod = reader.text();
      return;
    case 0x16:
      set.authenticationData = reader.binary();
      return;
    case 0x17:
      set.requestProblemInformation = flag(reader, 'request problem information');
      return;
    case 0x18:
      set.willDelay = reader.uint32();
      return;
    case 0x19:
      set.requestResponseInformation = flag(reader, 'request response information');
      return;
    case 0x1f:
      set.reasonString = reader.text();
      return;
    case 0x21:
      set.receiveMaximum = reader.uint16();
      if (set.receiveMaximum === 0) throw protocolError('receive maximum 0');
      return;
    case 0x22:
      set.topicAliasMaximum = reader.uint16();
      return;
    case 0x23:
      set.topicAlias = reader.uint16();
      return;
    case 0x27:
      set.maximumPacketSize = reader.uint32();
      if (set.maximumPacketSize === 0) throw protocolError('maximum packet size 0');
      return;
    default: // 0x26, a user property: checked and forwarded unchanged.
      reader.skipText();
      reader.skipText();
  }
}

function flag(reader: PacketReader, name: string): number {
  const value = reader.byte();
  if (value > 1) throw protocolError(`${name} is neither 0 nor 1`);
  return value;
}

/** The bytes from `start` to `end` without the ranges in `cuts`; undefined if nothing is left. */
function without(
  bytes: Buffer,
  start: number,
  end: number,
  cuts: readonly number[] | undefined,
): Buffer | undefined {
  if (cuts === undefined) return bytes.subarray(start, end);
  const parts: Buffer[] = [];
  let from = start;
  for (let index = 0; index < cuts.length; index += 2) {
    const cutStart = cuts[index] ?? end;
    if (cutStart > from) parts.push(bytes.subarray(from, cutStart));
    from = cuts[index + 1] ?? end;
  }
  if (from < end) parts.push(bytes.subarray(from, end));
  const [only] = parts;
  if (only === undefined) return undefined;
  return parts.length === 1 ? only : Buffer.concat(parts);
}

function table(rows: Readonly<Record<number, number>>): readonly number[] {
  const list = new Array<number>(256).fill(0);
  for (const [id, value] of Object.entries(rows)) list[Number(id)] = value;
  return list;
}

/** Whether a payload is well-formed UTF-8, as its Payload Format Indicator claims (section 3.3.2.3.2). */
export function isUtf8Payload(bytes: Buffer): boolean {
  return isUtf8(bytes);
}
