/**
 * The bytes that wait for a client that reads slowly. They are copied once, into buffers that are
 * written unchanged when there is room, so that a slow reader costs bytes and not objects.
 *
 * @module
 */
import type { WriteBatch } from './write-batch.ts';
import {
  bufferMinBytes,
  unpooledBuffer,
  type PooledBuffer,
  type BufferPool,
} from './buffer-pool.ts';

/** Buffers grow with the backlog up to this size. Only for a larger batch there is a larger buffer. */
const bufferGrowthMaxBytes = 64 * 1024;
/** Writes are not larger than this, so that the progress of a slow reader is visible. */
export const chunkMaxBytes = 64 * 1024;

/** The next bytes to write. */
export interface Chunk {
  readonly bytes: Buffer;
  /** Set in the last chunk of a buffer: the caller must release it. */
  readonly buffer: PooledBuffer | undefined;
}

export class Backlog {
  /** The waiting bytes. The buffers take at most twice as much and one buffer more. */
  bytes = 0;
  readonly #pool: BufferPool | undefined;
  readonly #all: { bytes: number };
  readonly #buffers: PooledBuffer[] = [];
  /** How many bytes of each buffer are used. */
  readonly #lengths: number[] = [];
  /** How many bytes of the first buffer were taken. */
  #taken = 0;

  /**
   * @param pool undefined: the buffers are not reused
   * @param all the waiting bytes of all clients
   */
  constructor(pool: BufferPool | undefined, all: { bytes: number }) {
    this.#pool = pool;
    this.#all = all;
  }

  get isEmpty(): boolean {
    return this.#buffers.length === 0;
  }

  /** Appends a copy of the bytes of a batch. */
  add(batch: WriteBatch): void {
    let last = this.#buffers.length - 1;
    let buffer = this.#buffers[last];
    let length = this.#lengths[last] ?? 0;
    if (buffer === undefined || buffer.bytes.length - length < batch.bytes) {
      const grown = buffer === undefined ? bufferMinBytes : 2 * buffer.bytes.length;
      const size = Math.max(batch.bytes, Math.min(grown, bufferGrowthMaxBytes));
      buffer = this.#pool?.acquire(size) ?? unpooledBuffer(size);
      length = 0;
      last = this.#buffers.push(buffer) - 1;
    }
    batch.copyTo(buffer.bytes, length);
    this.#lengths[last] = length + batch.bytes;
    this.bytes += batch.bytes;
    this.#all.bytes += batch.bytes;
  }

  /** Takes the oldest chunk; undefined if the backlog is empty. */
  shift(): Chunk | undefined {
    const buffer = this.#buffers[0];
    const length = this.#lengths[0];
    if (buffer === undefined || length === undefined) return undefined;
    const start = this.#taken;
    const end = Math.min(length, start + chunkMaxBytes);
    const isLast = end === length;
    if (isLast) {
      this.#buffers.shift();
      this.#lengths.shift();
    }
    this.#taken = isLast ? 0 : end;
    this.bytes -= end - start;
    this.#all.bytes -= end - start;
    return { bytes: buffer.bytes.subarray(start, end), buffer: isLast ? buffer : undefined };
  }

  /** Discards everything. */
  clear(): void {
    for (const buffer of this.#buffers) buffer.release();
    this.#buffers.length = this.#lengths.length = 0;
    this.#taken = 0;
    this.#all.bytes -= this.bytes;
    this.bytes = 0;
  }
}
