/**
 * Strict decoders of SUBSCRIBE and UNSUBSCRIBE.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import { malformed, protocolError, ProtocolFault } from './fault.ts';
import { readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';

export interface SubscribeRequest {
  readonly filter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface Subscribe {
  readonly packetId: number;
  /** The Subscription Identifier; undefined if there is none. */
  readonly identifier: number | undefined;
  readonly requests: readonly SubscribeRequest[];
}

/**
 * @param requestsMax a packet with more filters is rejected
 * @throws ProtocolFault
 */
export function readSubscribe(
  reader: PacketReader,
  isMqtt5: boolean,
  requestsMax: number,
): Subscribe {
  const packetId = reader.uint16();
  if (packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  const identifier = isMqtt5 ? readProperties(reader, 'subscribe').subscriptionIdentifier : -1;
  // [MQTT-3.8.3-2] (3.1.1: [MQTT-3.8.3-3]) at least one.
  if (reader.left === 0) throw protocolError('[MQTT-3.8.3-2] SUBSCRIBE without a topic filter');
  const requests: SubscribeRequest[] = [];
  while (reader.left > 0) {
    if (requests.length === requestsMax) {
      throw new ProtocolFault('filters-too-many', `SUBSCRIBE with more than ${requestsMax}`);
    }
    const filter = reader.text();
    const options = reader.byte();
    const qos = options & 3;
    const retainHandling = (options >> 4) & 3;
    // [MQTT-3.8.3-5] reserved bits (3.1.1: [MQTT-3-8.3-4]).
    if ((options & (isMqtt5 ? 0xc0 : 0xfc)) !== 0) {
      throw malformed('[MQTT-3.8.3-5] reserved bits in the subscription options');
    }
    // Section 3.8.3.1 calls both a Protocol Error.
    if (qos === 3 || retainHandling === 3) {
      throw protocolError(`${qos === 3 ? 'QoS' : 'retain handling'} 3 in the subscription options`);
    }
    requests.push({
      filter,
      qos: qos === 0 ? 0 : qos === 1 ? 1 : 2,
      noLocal: (options & 4) !== 0,
      retainAsPublished: (options & 8) !== 0,
      retainHandling: retainHandling === 0 ? 0 : retainHandling === 1 ? 1 : 2,
    });
  }
  return { packetId, identifier: identifier < 0 ? undefined : identifier, requests };
}

export interface Unsubscribe {
  readonly packetId: number;
  readonly filters: readonly string[];
}

/**
 * @param filtersMax a packet with more filters is rejected
 * @throws ProtocolFault
 */
export function readUnsubscribe(
  reader: PacketReader,
  isMqtt5: boolean,
  filtersMax: number,
): Unsubscribe {
  const packetId = reader.uint16();
  if (packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  if (isMqtt5) readProperties(reader, 'unsubscribe');
  // [MQTT-3.10.3-2] at least one.
  if (reader.left === 0) throw protocolError('[MQTT-3.10.3-2] UNSUBSCRIBE without a topic filter');
  const filters: string[] = [];
  while (reader.left > 0) {
    if (filters.length === filtersMax) {
      throw new ProtocolFault('filters-too-many', `UNSUBSCRIBE with more than ${filtersMax}`);
    }
    filters.push(reader.text());
  }
  return { packetId, filters };
}
