/**
 * The reason codes that each packet of 5.0 may contain. The reason code of a catalogue entry is that of
 * CONNACK; in a packet that does not allow it, the nearest allowed one is used.
 *
 * @module
 */
import { catalogue, type ErrorCode } from '../../../core/errors/catalogue.ts';

export type ReasonPlace = 'connack' | 'publish' | 'suback' | 'disconnect';

const places: Readonly<Record<ReasonPlace, ReadonlySet<number>>> = {
  // Table 3-1 [MQTT-3.2.2-8].
  connack: new Set([
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
    0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
  ]),
  // Tables 3-4 and 3-5, PUBACK and PUBREC [MQTT-3.4.2-1], [MQTT-3.5.2-1].
  publish: new Set([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
  // Table 3-8 [MQTT-3.9.3-2].
  suback: new Set([0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]),
  // Table 3-10 [MQTT-3.14.2-1].
  disconnect: new Set([
    0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ]),
};

const unspecified = 0x80;

/** The reason code of a catalogue code in one type of packet. */
export function reasonOf(code: ErrorCode, place: ReasonPlace): number {
  const reason = catalogue[code].mqtt5 ?? unspecified;
  const allowed = places[place];
  if (allowed.has(reason)) return reason;
  // Packet too large, message rate too high, connection rate exceeded: all of them are an exceeded quota.
  if ((reason === 0x95 || reason === 0x96 || reason === 0x9f) && allowed.has(0x97)) return 0x97;
  return unspecified;
}
