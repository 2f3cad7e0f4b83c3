/**
 * MQTT 3.1.1 packets of the load generator, encoded once, and a scanner for received packets. There are
 * no packet objects, so that the generator uses less CPU than the broker.
 *
 * @module
 */

export type LoadQos = 0 | 1 | 2;

export const packetType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
} as const;

/** CONNECT with a keep-alive of 10 minutes (default: with a clean session). */
export function connectFrame(clientId: string, clean = true): Buffer {
  const id = Buffer.from(clientId);
  const body = Buffer.alloc(12 + id.length);
  body.writeUInt16BE(4, 0);
  body.write('MQTT', 2);
  body[6] = 4;
  body[7] = clean ? 2 : 0;
  body.writeUInt16BE(600, 8);
  body.writeUInt16BE(id.length, 10);
  id.copy(body, 12);
  return framed(0x10, body);
}

export function subscribePacket(filter: string, qos: LoadQos): Buffer {
  const text = Buffer.from(filter);
  const body = Buffer.alloc(5 + text.length);
  body.writeUInt16BE(1, 0);
  body.writeUInt16BE(text.length, 2);
  text.copy(body, 4);
  body[4 + text.length] = qos;
  return framed(0x82, body);
}

/** A PUBLISH with the offsets of its packet id (0: none) and payload. */
export interface PublishFrame {
  readonly bytes: Buffer;
  readonly idAt: number;
  readonly payloadAt: number;
}

export function publishFrame(topic: string, qos: LoadQos, payloadBytes: number): PublishFrame {
  const text = Buffer.from(topic);
  const head = 2 + text.length + (qos === 0 ? 0 : 2);
  const body = Buffer.alloc(head + payloadBytes, 'x');
  body.writeUInt16BE(text.length, 0);
  text.copy(body, 2);
  const bytes = framed(0x30 | (qos << 1), body);
  const start = bytes.length - body.length;
  return { bytes, idAt: qos === 0 ? 0 : start + 2 + text.length, payloadAt: start + head };
}

/** Writes an acknowledgement of four bytes; returns the next offset. */
export function writeAcknowledgement(
  into: Buffer,
  at: number,
  type: number,
  packetId: number,
): number {
  into[at] = (type << 4) | (type === packetType.pubrel ? 2 : 0);
  into[at + 1] = 2;
  into[at + 2] = packetId >> 8;
  into[at + 3] = packetId & 0xff;
  return at + 4;
}

export const disconnectPacket = Buffer.from([0xe0, 0]);

/**
 * Calls back for each complete received packet with its first byte, the buffer, and the start and end of
 * its body. An incomplete packet waits for the next chunk.
 */
export class Scanner {
  #rest: Buffer | undefined;

  scan(
    chunk: Buffer,
    packet: (first: number, data: Buffer, start: number, end: number) => void,
  ): void {
    let data = chunk;
    if (this.#rest !== undefined) {
      data = Buffer.concat([this.#rest, chunk]);
      this.#rest = undefined;
    }
    let at = 0;
    while (at < data.length) {
      let length = 0;
      let shift = 0;
      let start = at + 1;
      let byte = 0x80;
      while (start < data.length) {
        byte = data[start++] ?? 0;
        length += (byte & 0x7f) * 2 ** shift;
        shift += 7;
        if (byte < 0x80) break;
      }
      const end = start + length;
      if (byte >= 0x80 || end > data.length) {
        this.#rest = data.subarray(at);
        return;
      }
      packet(data[at] ?? 0, data, start, end);
      at = end;
    }
  }
}

function framed(first: number, body: Buffer): Buffer {
  const head = [first];
  let length = body.length;
  do {
    head.push((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    length >>= 7;
  } while (length > 0);
  return Buffer.concat([Buffer.from(head), body]);
}
