/**
 * Splits the received bytes into packets. The size of a packet is checked by its Remaining Length before
 * a byte of it is buffered. The buffer of an incomplete packet grows with the received bytes, not with
 * the Remaining Length.
 *
 * @module
 */
import { malformed, ProtocolFault, protocolError } from './fault.ts';

/**
 * Handles one complete packet: `bytes` from `start` (its fixed header) to `end`. Its variable header
 * begins at `body`.
 *
 * @returns false to pause: the framer keeps a copy of the following bytes until {@link Framer.resume}
 */
export type PacketHandler = (bytes: Buffer, start: number, body: number, end: number) => boolean;

/** The memory of the incomplete packets of all connections. */
export interface FramerRoom {
  bytes: number;
  /** How much of it one connection may have. @param maxBytes while there is enough for all */
  shareOf(maxBytes: number): number;
}

const incomplete = -1;
const headerMaxBytes = 5;
const firstCapacityBytes = 1024;
const noBytes = Buffer.alloc(0);

export class Framer {
  /** The largest accepted packet in bytes, with its fixed header. May be changed between packets. */
  packetMaxBytes: number;
  /** Whether Remaining Length must have the fewest possible bytes: 5.0 [MQTT-1.5.5-1]. */
  shortestLength = false;
  /** The byte that the next chunk must begin with; 0: any. Rejects other protocols before they are buffered. */
  firstByte = 0;
  readonly #onPacket: PacketHandler;
  readonly #all: FramerRoom;
  /** The first bytes of a packet that is not complete. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  /** The bytes that follow the packet after which the handler paused. */
  #unread: Buffer | undefined;
  /** Whether the bytes that are split are those of {@link #unread}, which need no second copy. */
  #isCopy = false;
  #paused = false;
  #splitting = false;
  #bodyAt = 0;

  /** @param all the memory of all incomplete packets */
  constructor(packetMaxBytes: number, all: FramerRoom, take: PacketHandler) {
    this.packetMaxBytes = packetMaxBytes;
    this.#all = all;
    this.#onPacket = take;
  }

  /** The buffered bytes. */
  get bufferedBytes(): number {
    return this.#partialLength + (this.#unread?.length ?? 0);
  }

  /** @throws ProtocolFault if a length is malformed or a packet is too large; errors of the handler */
  push(chunk: Buffer): void {
    if (this.#paused || this.#splitting) {
      this.#unread = Buffer.concat([this.#unread ?? noBytes, chunk]);
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

  /** Continues after a pause. @throws ProtocolFault as {@link push} */
  resume(): void {
    this.#paused = false;
    const unread = this.#unread;
    this.#unread = undefined;
    if (unread === undefined) return;
    this.#isCopy = true;
    try {
      this.push(unread);
    } finally {
      this.#isCopy = false;
    }
  }

  /** Discards all buffered bytes. */
  clear(): void {
    this.#setPartial(undefined);
    this.#partialLength = 0;
    this.#unread = undefined;
    this.#paused = true;
  }

  #splitPackets(chunk: Buffer, from: number): void {
    let at = from;
    let packetBytes = this.packetMaxBytes;
    const { length } = chunk;
    while (at < length) {
      if (this.#paused) {
        const rest = chunk.subarray(at);
        this.#unread = this.#isCopy ? rest : Buffer.from(rest);
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
        packetBytes = end - at;
        break;
      }
      if (!this.#onPacket(chunk, at, body, end)) this.#paused = true;
      at = end;
    }
    if (at < length) this.#buffer(chunk, at, length, packetBytes);
  }

  /** Completes the buffered packet and handles it. @returns how many bytes of the chunk were used */
  #complete(chunk: Buffer): number {
    let used = 0;
    // The fixed header first: it has at most 5 bytes, so this loop is short.
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
    const packet = this.#partial?.subarray(0, needed) ?? chunk;
    this.#setPartial(undefined);
    this.#partialLength = 0;
    this.#remainingLength(packet, 1, needed);
    if (!this.#onPacket(packet, 0, this.#bodyAt, needed)) this.#paused = true;
    return used;
  }

  /** The size of the buffered packet; -1 while its fixed header is not complete. */
  #neededBytes(): number {
    const partial = this.#partial;
    if (partial === undefined || this.#partialLength < 2) return -1;
    const size = this.#remainingLength(partial, 1, Math.min(this.#partialLength, headerMaxBytes));
    if (size === incomplete) return -1;
    const needed = this.#bodyAt + size;
    this.#checkSize(needed);
    return needed;
  }

  /** @param packetBytes the size of the packet, or its maximum: the buffer does not grow beyond it */
  #buffer(chunk: Buffer, start: number, end: number, packetBytes: number): void {
    const neededBytes = this.#partialLength + end - start;
    if (neededBytes > this.#all.shareOf(this.packetMaxBytes)) {
      throw new ProtocolFault('memory-share-used', 'the packet is not complete');
    }
    let partial = this.#partial;
    if (partial === undefined || partial.length < neededBytes) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(neededBytes, Math.min(Math.max(2 * neededBytes, firstCapacityBytes), packetBytes)),
      );
      if (partial !== undefined) partial.copy(grown, 0, 0, this.#partialLength);
      this.#setPartial((partial = grown));
    }
    chunk.copy(partial, this.#partialLength, start, end);
    this.#partialLength = neededBytes;
  }

  #setPartial(partial: Buffer | undefined): void {
    this.#all.bytes += (partial?.length ?? 0) - (this.#partial?.length ?? 0);
    this.#partial = partial;
  }

  /** The Remaining Length at `at`; -1 if it is incomplete. Sets {@link #bodyAt} to its end. */
  #remainingLength(bytes: Buffer, at: number, end: number): number {
    let value = 0;
    let shift = 0;
    for (let index = at; index < end; index++) {
      const byte = bytes[index] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        // 3.1.1 does not require the fewest bytes, and some small clients always send four.
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
        `a packet of ${bytes} bytes; the limit is ${this.packetMaxBytes}`,
      );
    }
  }
}

/** The number of bytes of a Remaining Length. */
export function lengthBytes(size: number): number {
  return size < 128 ? 1 : size < 16_384 ? 2 : size < 2_097_152 ? 3 : 4;
}

/** Writes a Remaining Length (or any Variable Byte Integer). @returns the position behind it */
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
