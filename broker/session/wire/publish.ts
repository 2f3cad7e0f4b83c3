/**
 * PUBLISH as a client sends it.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import { malformed, protocolError } from './fault.ts';
import { readProperties, type PropertySet } from './properties.ts';
import { PacketReader } from './reader.ts';

/** The fields of one PUBLISH. Positions are those of the buffer that was read. */
export class PublishFields {
  qos: Qos = 0;
  retain = false;
  /** 0 at QoS 0. */
  packetId = 0;
  topicStart = 0;
  topicEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** Undefined if there are none. */
  properties: PropertySet | undefined = undefined;
}

/**
 * Decodes a PUBLISH into an existing object, so that the hot path allocates nothing.
 *
 * @param body the position behind the fixed header
 * @param place `forwarded` from another partition
 * @throws ProtocolFault
 */
export function readPublish(
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
  isMqtt5: boolean,
  fields: PublishFields,
  place: 'publish' | 'forwarded' = 'publish',
): void {
  const header = byteAt(bytes, start);
  fields.qos = qosOf(header);
  fields.retain = (header & 1) !== 0;
  // [MQTT-3.3.2-1] the topic name comes first.
  const topicStart = body + 2;
  if (topicStart > end) throw malformed('PUBLISH ends before its topic');
  const topicEnd = topicStart + uint16At(bytes, body);
  let at = topicEnd;
  let packetId = 0;
  if (fields.qos > 0) {
    packetId = uint16At(bytes, at);
    at += 2;
  }
  if (at > end) throw malformed('PUBLISH ends inside its topic');
  // [MQTT-2.2.1-3] (3.1.1: [MQTT-2.3.1-1]).
  if (fields.qos > 0 && packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  fields.packetId = packetId;
  fields.topicStart = topicStart;
  fields.topicEnd = topicEnd;
  fields.payloadEnd = end;
  fields.properties = undefined;
  fields.payloadStart = isMqtt5 ? readPublishProperties(bytes, at, end, fields, place) : at;
}

/** @returns the position behind the properties */
function readPublishProperties(
  bytes: Buffer,
  at: number,
  end: number,
  fields: PublishFields,
  place: 'publish' | 'forwarded',
): number {
  if (at >= end) throw malformed('PUBLISH ends before its properties');
  if (bytes[at] === 0) return at + 1;
  const reader = new PacketReader(bytes, at, end);
  fields.properties = readProperties(reader, place);
  return reader.at;
}

function qosOf(header: number): Qos {
  switch ((header >> 1) & 3) {
    case 0:
      if ((header & 8) !== 0) throw malformed('[MQTT-3.3.1-2] DUP with QoS 0');
      return 0;
    case 1:
      return 1;
    case 2:
      return 2;
    default:
      throw malformed('[MQTT-3.3.1-4] both QoS bits are set');
  }
}

function byteAt(bytes: Buffer, at: number): number {
  return bytes[at] ?? 0;
}

function uint16At(bytes: Buffer, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}
