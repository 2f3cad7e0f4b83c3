/**
 * A ring of frames in memory that two threads share: one thread sends, one receives, and neither waits
 * for a lock. A frame is a header of 8 bytes (length and kind, then the number of the connection) and
 * its bytes, padded to 8.
 *
 * The sender writes frames and publishes them together. The receiver reads views of the memory; they are
 * valid until it releases them.
 *
 * @module
 */
import type { Bell } from './doorbell.ts';

/** Called for each frame: its bytes are in `bytes` from `start` to `end`. */
export type TakeFrame = (
  kind: number,
  id: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void;

/** Positions of the shared words, 64 bytes apart so that the threads do not share a cache line. */
const headWord = 0;
const tailWord = 16;
/** 1 while the sender waits for room. */
const fullWord = 32;
const dataAt = 256;
const headerBytes = 8;
/** Fills the rest of the ring, when a frame does not fit before its end. */
const skipKind = 255;
const sizeMask = 0xff_ffff;
/** What released memory contains in tests, so that a view that was kept too long is noticed. */
const poison = 0xdb;

/** Memory for a ring. `bytes` is a power of two. */
export function ringMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(dataAt + bytes);
}

function frameBytes(size: number): number {
  return headerBytes + ((size + 7) & ~7);
}

/** The part that sender and receiver have in common. */
class RingView {
  readonly bytes: Buffer;
  protected readonly words: Int32Array;
  protected readonly data: Int32Array;
  protected readonly size: number;
  protected readonly mask: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, dataAt / 4);
    this.data = new Int32Array(memory, dataAt);
    this.bytes = Buffer.from(memory, dataAt);
    this.size = memory.byteLength - dataAt;
    this.mask = this.size - 1;
  }
}

export class RingSender extends RingView {
  #tail = 0;
  #published = 0;
  /** The receiver's position, as it was last read. */
  #head = 0;
  readonly #bell: Bell;

  constructor(memory: SharedArrayBuffer, bell: Bell) {
    super(memory);
    this.#bell = bell;
  }

  /** Whether a frame of so many bytes fits now. If not, the receiver rings when there is room. */
  hasRoom(size: number): boolean {
    const needed = this.#neededFor(frameBytes(size));
    if (this.#free() >= needed) return true;
    this.#head = Atomics.load(this.words, headWord);
    if (this.#free() >= needed) return true;
    Atomics.store(this.words, fullWord, 1);
    // The receiver may have released some between the two.
    this.#head = Atomics.load(this.words, headWord);
    return this.#free() >= needed;
  }

  /** Begins a frame. @returns where to write its bytes; -1: there is no room */
  reserve(kind: number, id: number, size: number): number {
    if (!this.hasRoom(size)) return -1;
    const needed = frameBytes(size);
    let at = this.#tail & this.mask;
    const toEnd = this.size - at;
    if (needed > toEnd) {
      this.data[at >> 2] = skipKind << 24;
      this.#tail = (this.#tail + toEnd) | 0;
      at = 0;
    }
    this.data[at >> 2] = size | (kind << 24);
    this.data[(at >> 2) + 1] = id;
    this.#tail = (this.#tail + needed) | 0;
    return at + headerBytes;
  }

  /** Lets the receiver see the frames, and wakes it. */
  publish(): void {
    if (this.#tail === this.#published) return;
    this.#published = this.#tail;
    Atomics.store(this.words, tailWord, this.#tail);
    this.#bell.ring();
  }

  #free(): number {
    return this.size - ((this.#tail - this.#head) >>> 0);
  }

  /** With the rest of the ring that stays unused when the frame does not fit before its end. */
  #neededFor(needed: number): number {
    const toEnd = this.size - (this.#tail & this.mask);
    return needed > toEnd ? needed + toEnd : needed;
  }
}

export class RingReceiver extends RingView {
  #head = 0;
  #released = 0;
  readonly #bell: Bell;
  readonly #poisons: boolean;

  /** @param poisons whether released memory is overwritten, for tests */
  constructor(memory: SharedArrayBuffer, bell: Bell, poisons: boolean) {
    super(memory);
    this.#bell = bell;
    this.#poisons = poisons;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.words, tailWord) === this.#head;
  }

  /** Passes on the frames that are there, about `maxBytes`. @returns how many */
  drain(take: TakeFrame, maxBytes: number): number {
    const tail = Atomics.load(this.words, tailWord);
    const from = this.#head;
    let frames = 0;
    while (this.#head !== tail && (this.#head - from) >>> 0 < maxBytes) {
      const at = this.#head & this.mask;
      const word = this.data[at >> 2] ?? 0;
      const kind = word >>> 24;
      if (kind === skipKind) {
        this.#head = (this.#head + this.size - at) | 0;
        continue;
      }
      const size = word & sizeMask;
      const id = this.data[(at >> 2) + 1] ?? 0;
      const start = at + headerBytes;
      this.#head = (this.#head + frameBytes(size)) | 0;
      frames++;
      take(kind, id, this.bytes, start, start + size);
    }
    return frames;
  }

  /** The frames that were passed on may be overwritten. */
  release(): void {
    if (this.#head === this.#released) return;
    if (this.#poisons) this.#overwrite();
    this.#released = this.#head;
    Atomics.store(this.words, headWord, this.#head);
    if (Atomics.exchange(this.words, fullWord, 0) === 1) this.#bell.ring();
  }

  #overwrite(): void {
    const from = this.#released & this.mask;
    const to = this.#head & this.mask;
    if (from < to) this.bytes.fill(poison, from, to);
    else this.bytes.fill(poison, from).fill(poison, 0, to);
  }
}
