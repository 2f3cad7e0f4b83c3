/**
 * The MQTT 5.0 properties of requests and replies (section 4.10): response topic and correlation data.
 *
 * @module
 */
import { PacketReader } from './reader.ts';

const responseTopicId = 0x08;
const correlationDataId = 0x09;
const oneByteIds: ReadonlySet<number> = new Set([0x01]);

/** How a receiver replies to a message. */
export interface ReplyAddress {
  readonly responseTopic: string;
  /** At most 65,535 bytes. */
  readonly correlationData: Buffer;
}

/** Encodes the properties of a request, without their length. */
export function requestProperties({ responseTopic, correlationData }: ReplyAddress): Buffer {
  return Buffer.concat([
    withLength(responseTopicId, Buffer.from(responseTopic)),
    withLength(correlationDataId, correlationData),
  ]);
}

/**
 * The correlation data in properties that the decoder has checked and forwards; undefined if there are none.
 *
 * @param properties encoded, without their length
 */
export function correlationDataOf(properties: Buffer | undefined): Buffer | undefined {
  if (properties === undefined) return undefined;
  const reader = new PacketReader(properties, 0, properties.length);
  while (reader.left > 0) {
    const id = reader.byte();
    if (oneByteIds.has(id)) reader.byte();
    else {
      const value = reader.binary();
      if (id === correlationDataId) return value;
      // A user property is a pair.
      if (id === 0x26) reader.binary();
    }
  }
  return undefined;
}

function withLength(id: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(3 + value.length);
  bytes[0] = id;
  bytes.writeUInt16BE(value.length, 1);
  value.copy(bytes, 3);
  return bytes;
}
