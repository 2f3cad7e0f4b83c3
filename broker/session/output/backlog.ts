/**
 * What waits for a client that does not keep up: bytes, copied once into blocks that leave as they are
 * when there is room, so that a slow reader costs bytes and not objects.
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

/** Blocks grow with the backlog to this size; only what is larger in one turn has a larger one. */
const bufferGrowthMaxBytes = 64 * 1024;
/** More is not written at a time, so that a slow reader is seen to make progress. */
const chunkMaxBytes = 64 * 1024;

/** What is written next. */
export interface Chunk {
  readonly bytes: Buffer;
  /** With the last piece of a block: the block, which is the caller's to release. */
  readonly buffer: PooledBuffer | undefined;
}

export class Backlog {
  /** Bytes that wait. The blocks take at most twice that and one block more. */
  bytes = 0;
  readonly #pool: BufferPool | undefined;
  readonly #buffers: PooledBuffer[] = [];
  /** How much of each block is filled. */
  readonly #lengths: number[] = [];
  /** How much of the first block has been taken. */
  #taken = 0;

  /** @param pool undefined: the blocks are not used again */
  constructor(pool: BufferPool | undefined) {
    this.#pool = pool;
  }

  get isEmpty(): boolean {
    return this.#buffers.length === 0;
  }

  /** Copies what a box holds behind what is here. */
  add(batch: WriteBatch): void {
    let last = this.#buffers.length - 1;
    let block = this.#buffers[last];
    let length = this.#lengths[last] ?? 0;
    if (block === undefined || block.bytes.length - length < batch.bytes) {
      const grown = block === undefined ? bufferMinBytes : 2 * block.bytes.length;
      const size = Math.max(batch.bytes, Math.min(grown, bufferGrowthMaxBytes));
      block = this.#pool?.acquire(size) ?? unpooledBuffer(size);
      length = 0;
      last = this.#buffers.push(block) - 1;
    }
    batch.copyTo(block.bytes, length);
    this.#lengths[last] = length + batch.bytes;
    this.bytes += batch.bytes;
  }

  /** Takes what has waited the longest, a piece at a time. */
  shift(): Chunk | undefined {
    const block = this.#buffers[0];
    const length = this.#lengths[0];
    if (block === undefined || length === undefined) return undefined;
    const start = this.#taken;
    const end = Math.min(length, start + chunkMaxBytes);
    const whole = end === length;
    if (whole) {
      this.#buffers.shift();
      this.#lengths.shift();
    }
    this.#taken = whole ? 0 : end;
    this.bytes -= end - start;
    return { bytes: block.bytes.subarray(start, end), buffer: whole ? block : undefined };
  }

  /** Forgets everything. */
  clear(): void {
    for (const block of this.#buffers) block.release();
    this.#buffers.length = this.#lengths.length = 0;
    this.#taken = 0;
    this.bytes = 0;
  }
}
