/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP, which have the same layout.
 *
 * @module
 */
import { malformed, protocolError } from './fault.ts';
import { readProperties } from './properties.ts';
import { PacketReader } from './reader.ts';

/** The first bytes of the packets, with their flags. */
export const packetFirstByte = {
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
} as const;

export interface Acknowledgement {
  readonly packetId: number;
  readonly reasonCode: number;
}

const publishCodes = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const releaseCodes = new Set([0x00, 0x92]);

/**
 * Reads the packet id, and for 5.0 the reason code and the properties.
 *
 * @param ofPublish true for PUBACK and PUBREC, false for PUBREL and PUBCOMP
 * @throws ProtocolFault
 */
export function readAcknowledgement(
  bytes: Buffer,
  body: number,
  end: number,
  isMqtt5: boolean,
  ofPublish: boolean,
): Acknowledgement {
  const reader = new PacketReader(bytes, body, end);
  const packetId = reader.uint16();
  if (packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  let reasonCode = 0;
  if (isMqtt5 && reader.left > 0) {
    reasonCode = reader.byte();
    if (!(ofPublish ? publishCodes : releaseCodes).has(reasonCode)) {
      throw malformed(`unknown reason code 0x${reasonCode.toString(16)}`);
    }
    if (reader.left > 0) readProperties(reader, 'acknowledgement');
  }
  reader.finish();
  return { packetId, reasonCode };
}

/** The bytes of a packet without a reason code. The packet id at offset 2 is patched. */
export const acknowledgementTemplate = Buffer.from([0, 2, 0, 0]);

/** The bytes of a packet with a reason code (5.0) [MQTT-3.4.2-1]. */
export function acknowledgementWithReason(type: number, packetId: number, code: number): Buffer {
  return Buffer.from([type, 3, packetId >>> 8, packetId & 0xff, code]);
}
