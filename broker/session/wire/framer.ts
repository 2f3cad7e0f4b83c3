/**
 * Cuts what arrives into packets. The size of a packet is judged on its declared length, before
 * a byte of it is kept; memory for a packet in parts grows with what came, never with what was
 * declared.
 *
 * @module
 */
import { malformed, ProtocolFault, protocolError } from './fault.ts';

/**
 * Takes one packet that is whole: `bytes` from `start` (its fixed header) to `end`, its variable
 * header at `body`.
 *
 * @returns false to stop: what follows stays with the framer until {@link Framer.resume}
 */
export type PacketHandler = (bytes: Buffer, start: number, body: number, end: number) => boolean;

const incomplete = -1;
const headerMaxBytes = 5;
const firstCapacityBytes = 1024;

export class Framer {
  /** The largest packet taken, in bytes, fixed header included. May be changed between packets. */
  packetMaxBytes: number;
  /** Whether Remaining Length must be in the fewest bytes: 5.0 [MQTT-1.5.5-1]. */
  shortestLength = false;
  /** What the next chunk must begin with, 0: anything. Tells other protocols before they fill up. */
  firstByte = 0;
  readonly #onPacket: PacketHandler;
  /** A packet of which only a part has come. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  /** What came behind a packet at which the taker said stop. */
  #unread: Buffer | undefined;
  #stopped = false;
  #splitting = false;
  #bodyAt = 0;

  constructor(packetMaxBytes: number, take: PacketHandler) {
    this.packetMaxBytes = packetMaxBytes;
    this.#onPacket = take;
  }

  /** Bytes kept for later. */
  get bufferedBytes(): number {
    return this.#partialLength + (this.#unread?.length ?? 0);
  }

  /** @throws ProtocolFault malformed length, or packet too large */
  push(chunk: Buffer): void {
    if (this.#stopped || this.#splitting) {
      this.#unread = this.#unread === undefined ? chunk : Buffer.concat([this.#unread, chunk]);
      return;
    }
    if (this.firstByte !== 0 && this.#partial === undefined && chunk[0] !== this.firstByte) {
      throw protocolError('[MQTT-3.1.0-1] the first packet is not CONNECT');
    }
    this.#splitting = true;
    try {
      let at = 0;
      if (this.#partial !== undefined) at = this.#complete(chunk);
      if (at < chunk.length) this.#splitPackets(chunk, at);
    } finally {
      this.#splitting = false;
    }
  }

  /** Goes on after a stop. @throws ProtocolFault as {@link push} */
  resume(): void {
    this.#stopped = false;
    const rest = this.#unread;
    this.#unread = undefined;
    if (rest !== undefined) this.push(rest);
  }

  /** Forgets everything. */
  clear(): void {
    this.#partial = undefined;
    this.#partialLength = 0;
    this.#unread = undefined;
    this.#stopped = true;
  }

  #splitPackets(chunk: Buffer, from: number): void {
    let at = from;
    let whole = this.packetMaxBytes;
    const { length } = chunk;
    while (at < length) {
      if (this.#stopped) {
        this.#unread = chunk.subarray(at);
        return;
      }
      let body = at + 2;
      let size = chunk[at + 1] ?? incomplete;
      if (size >= 0x80) {
        size = this.#remainingLength(chunk, at + 1, length);
        body = this.#bodyAt;
      }
      if (size === incomplete) break;
      const end = body + size;
      this.#checkSize(end - at);
      if (end > length) {
        whole = end - at;
        break;
      }
      if (!this.#onPacket(chunk, at, body, end)) this.#stopped = true;
      at = end;
    }
    if (at < length) this.#buffer(chunk, at, length, whole);
  }

  /** Fills up the packet in parts; hands it on when it is whole. Returns how much was used. */
  #complete(chunk: Buffer): number {
    let used = 0;
    // The header first: it takes at most 5 bytes, so this loop is short.
    let needed = this.#neededBytes();
    while (needed < 0) {
      if (used === chunk.length) return used;
      this.#buffer(chunk, used, used + 1, this.packetMaxBytes);
      used++;
      needed = this.#neededBytes();
    }
    const missing = Math.min(needed - this.#partialLength, chunk.length - used);
    if (missing > 0) {
      this.#buffer(chunk, used, used + missing, needed);
      used += missing;
    }
    if (this.#partialLength < needed) return used;
    const whole = this.#partial?.subarray(0, needed) ?? chunk;
    this.#partial = undefined;
    this.#partialLength = 0;
    this.#remainingLength(whole, 1, needed);
    if (!this.#onPacket(whole, 0, this.#bodyAt, needed)) this.#stopped = true;
    return used;
  }

  /** The whole size of the packet in parts; -1 while its header is not complete. */
  #neededBytes(): number {
    const partial = this.#partial;
    if (partial === undefined || this.#partialLength < 2) return -1;
    const size = this.#remainingLength(partial, 1, Math.min(this.#partialLength, headerMaxBytes));
    if (size === incomplete) return -1;
    const needed = this.#bodyAt + size;
    this.#checkSize(needed);
    return needed;
  }

  /** @param wholeBytes what the packet takes in all, or may: there is no use for more memory */
  #buffer(chunk: Buffer, start: number, end: number, wholeBytes: number): void {
    const wanted = this.#partialLength + end - start;
    let partial = this.#partial;
    if (partial === undefined || partial.length < wanted) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(wanted, Math.min(Math.max(2 * wanted, firstCapacityBytes), wholeBytes)),
      );
      if (partial !== undefined) partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = partial = grown;
    }
    chunk.copy(partial, this.#partialLength, start, end);
    this.#partialLength = wanted;
  }

  /** Remaining Length at `at`, or -1 when it is not all there; {@link #bodyAt} tells where it ends. */
  #remainingLength(bytes: Buffer, at: number, end: number): number {
    let value = 0;
    let shift = 0;
    for (let index = at; index < end; index++) {
      const byte = bytes[index] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        // 3.1.1 does not ask for the fewest bytes, and some small clients always write four.
        if (byte === 0 && shift > 0 && this.shortestLength) {
          throw malformed('[MQTT-1.5.5-1] padded remaining length');
        }
        this.#bodyAt = index + 1;
        return value;
      }
      shift += 7;
      if (shift === 28) throw malformed('the remaining length is longer than 4 bytes');
    }
    return incomplete;
  }

  #checkSize(bytes: number): void {
    if (bytes > this.packetMaxBytes) {
      throw new ProtocolFault(
        'packet-too-large',
        `a packet of ${bytes} bytes; at most ${this.packetMaxBytes} are taken`,
      );
    }
  }
}

/** How many bytes a Remaining Length takes. */
export function lengthBytes(size: number): number {
  return size < 128 ? 1 : size < 16_384 ? 2 : size < 2_097_152 ? 3 : 4;
}

/** Writes a Remaining Length (or any Variable Byte Integer). Returns where it ends. */
export function writeLength(bytes: Buffer, at: number, size: number): number {
  let left = size;
  let next = at;
  while (left >= 0x80) {
    bytes[next++] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  bytes[next++] = left;
  return next;
}
