/**
 * What waits for a client that does not keep up: bytes, copied once into blocks that leave as they are
 * when there is room, so that a slow reader costs bytes and not objects.
 *
 * @module
 */
import type { Outbox } from './write-batch.ts';
import { blockMinBytes, ownBlock, type WriteBlock, type WriteBlocks } from './buffer-pool.ts';

/** Blocks grow with the backlog to this size; only what is larger in one turn has a larger one. */
const blockUsualMaxBytes = 64 * 1024;
/** More is not written at a time, so that a slow reader is seen to make progress. */
const pieceMaxBytes = 64 * 1024;

/** What is written next. */
export interface Piece {
  readonly bytes: Buffer;
  /** With the last piece of a block: the block, which is the caller's to release. */
  readonly block: WriteBlock | undefined;
}

export class Backlog {
  /** Bytes that wait. The blocks take at most twice that and one block more. */
  bytes = 0;
  readonly #lender: WriteBlocks | undefined;
  readonly #blocks: WriteBlock[] = [];
  /** How much of each block is filled. */
  readonly #lengths: number[] = [];
  /** How much of the first block has been taken. */
  #taken = 0;

  /** @param lender undefined: the blocks are not used again */
  constructor(lender: WriteBlocks | undefined) {
    this.#lender = lender;
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Copies what a box holds behind what is here. */
  add(box: Outbox): void {
    let last = this.#blocks.length - 1;
    let block = this.#blocks[last];
    let length = this.#lengths[last] ?? 0;
    if (block === undefined || block.bytes.length - length < box.bytes) {
      const grown = block === undefined ? blockMinBytes : 2 * block.bytes.length;
      const size = Math.max(box.bytes, Math.min(grown, blockUsualMaxBytes));
      block = this.#lender?.take(size) ?? ownBlock(size);
      length = 0;
      last = this.#blocks.push(block) - 1;
    }
    box.copyTo(block.bytes, length);
    this.#lengths[last] = length + box.bytes;
    this.bytes += box.bytes;
  }

  /** Takes what has waited the longest, a piece at a time. */
  shift(): Piece | undefined {
    const block = this.#blocks[0];
    const length = this.#lengths[0];
    if (block === undefined || length === undefined) return undefined;
    const start = this.#taken;
    const end = Math.min(length, start + pieceMaxBytes);
    const whole = end === length;
    if (whole) {
      this.#blocks.shift();
      this.#lengths.shift();
    }
    this.#taken = whole ? 0 : end;
    this.bytes -= end - start;
    return { bytes: block.bytes.subarray(start, end), block: whole ? block : undefined };
  }

  /** Forgets everything. */
  clear(): void {
    for (const block of this.#blocks) block.release();
    this.#blocks.length = this.#lengths.length = 0;
    this.#taken = 0;
    this.bytes = 0;
  }
}
