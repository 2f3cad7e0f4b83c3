/**
 * Reads the data types of MQTT from one packet. Every read is checked against the end of the packet, so
 * that no length in it can reach beyond.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { malformed } from './fault.ts';

/** A position in the body of one packet. */
export class PacketReader {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  byte(): number {
    const value = this.at < this.end ? this.bytes[this.at++] : undefined;
    if (value === undefined) throw malformed('the packet is too short');
    return value;
  }

  uint16(): number {
    const high = this.byte();
    return (high << 8) | this.byte();
  }

  uint32(): number {
    const high = this.uint16();
    return high * 65_536 + this.uint16();
  }

  /** Variable Byte Integer: up to 4 bytes, and as few as possible [MQTT-1.5.5-1]. */
  variable(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed('[MQTT-1.5.5-1] padded variable byte integer');
        return value;
      }
    }
    throw malformed('a variable byte integer is longer than 4 bytes');
  }

  /** Binary Data: a view, not a copy. */
  binary(): Buffer {
    const length = this.uint16();
    return this.slice(length);
  }

  slice(length: number): Buffer {
    const start = this.at;
    if (length > this.end - start) throw malformed('a length is longer than the packet');
    this.at = start + length;
    return this.bytes.subarray(start, this.at);
  }

  /** UTF-8 Encoded String, checked [MQTT-1.5.4-1], [MQTT-1.5.4-2] (3.1.1: [MQTT-1.5.3-1], -2). */
  text(): string {
    return textOf(this.binary());
  }

  /** Checks a string without decoding it. */
  skipText(): void {
    assertText(this.binary());
  }

  /** The packet must have no bytes behind the last field of its type. */
  finish(): void {
    if (this.at !== this.end) throw malformed('the packet has bytes behind its last field');
  }
}

/** Decodes a string. @throws ProtocolFault if it is not well-formed UTF-8 or contains U+0000 */
export function textOf(bytes: Buffer): string {
  assertText(bytes);
  return bytes.toString('utf8');
}

function assertText(bytes: Buffer): void {
  if (!isUtf8(bytes)) throw malformed('[MQTT-1.5.4-1] ill-formed UTF-8');
  if (bytes.includes(0)) throw malformed('[MQTT-1.5.4-2] U+0000 in a string');
}
