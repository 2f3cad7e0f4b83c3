/**
 * Memory that what leaves is gathered in: a block is lent for one write and used again once its bytes
 * are on their way. A fresh buffer for each write would be memory outside of V8's heap, and each 64 MB
 * of that make V8 mark its whole heap: with payloads of some KB, ten times a second.
 *
 * @module
 */

/** A block that is lent. */
export interface PooledBuffer {
  /** At least as long as was asked for; what stands in it means nothing. */
  readonly bytes: Buffer;
  /** Called once when the block comes back. */
  onRelease: (() => void) | undefined;
  /** Gives it back, when nobody reads it any more: the callback of a write. */
  readonly release: () => void;
}

/** The smallest block. Less than that is as cheap as a slice of Node's own pool. */
export const bufferMinBytes = 4 * 1024;
/** Sizes are multiples of the smallest up to here, then powers of two. */
const fineMaxBytes = 64 * 1024;
const fineSteps = fineMaxBytes / bufferMinBytes;
/** Larger blocks are not kept: so much in one write is rare. */
const pooledMaxBytes = 512 * 1024;
/** What is kept for later, of all sizes together. */
const freeMaxBytes = 16 * 1024 * 1024;

export class BufferPool {
  /** By size. */
  readonly #free: (PooledBuffer[] | undefined)[] = [];
  #freeBytes = 0;

  /** Bytes that are here and not lent. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Lends a block of at least `size` bytes. */
  acquire(size: number): PooledBuffer {
    if (size > pooledMaxBytes) return unpooledBuffer(size);
    const step = stepOf(size);
    const kept = this.#free[step]?.pop();
    if (kept !== undefined) {
      this.#freeBytes -= kept.bytes.length;
      return kept;
    }
    const made = block(sizeOf(step), () => this.#putBack(made, step));
    return made;
  }

  #putBack(back: PooledBuffer, step: number): void {
    if (this.#freeBytes + back.bytes.length > freeMaxBytes) return;
    this.#freeBytes += back.bytes.length;
    (this.#free[step] ??= []).push(back);
  }
}

/** A block for a stream that may hand on what it is given: it is never used again. */
export function unpooledBuffer(size: number): PooledBuffer {
  return block(size, undefined);
}

function block(size: number, back: (() => void) | undefined): PooledBuffer {
  const made: PooledBuffer = {
    bytes: Buffer.allocUnsafeSlow(size),
    onRelease: undefined,
    release() {
      const { onRelease } = made;
      made.onRelease = undefined;
      back?.();
      onRelease?.();
    },
  };
  return made;
}

/** 0 for up to 4 KB, 1 for up to 8 KB … 15 for up to 64 KB, 16 for up to 128 KB and so on. */
function stepOf(size: number): number {
  if (size <= fineMaxBytes) return Math.max(0, Math.ceil(size / bufferMinBytes) - 1);
  return fineSteps - 1 + Math.ceil(Math.log2(size / fineMaxBytes));
}

function sizeOf(step: number): number {
  return step < fineSteps ? (step + 1) * bufferMinBytes : fineMaxBytes << (step - fineSteps + 1);
}
