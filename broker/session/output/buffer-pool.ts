/**
 * A pool of write buffers: one is acquired for each write and reused when the write completes.
 *
 * A new buffer for each write would be memory outside of V8's heap, and each 64 MB of it make V8 mark
 * the whole heap: ten times a second with payloads of a few KB.
 *
 * @module
 */

export interface PooledBuffer {
  /** At least as long as requested. The content is undefined. */
  readonly bytes: Buffer;
  /** Called once, when the buffer is released. */
  onRelease: (() => void) | undefined;
  /** Returns the buffer to the pool. It is the callback of a write. */
  readonly release: () => void;
}

/** The smallest buffer. For fewer bytes a slice of Node's own pool is as cheap. */
export const bufferMinBytes = 4 * 1024;
/** Sizes are multiples of the smallest buffer up to here, then powers of two. */
const fineMaxBytes = 64 * 1024;
const fineSteps = fineMaxBytes / bufferMinBytes;
/** Larger buffers are not reused: writes of that size are rare. */
const pooledMaxBytes = 512 * 1024;
/** The free buffers of all sizes together. */
const freeMaxBytes = 16 * 1024 * 1024;

export class BufferPool {
  /** Free buffers by size step. */
  readonly #free: (PooledBuffer[] | undefined)[] = [];
  #freeBytes = 0;

  /** The bytes of the free buffers. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Returns a buffer of at least `size` bytes. */
  acquire(size: number): PooledBuffer {
    if (size > pooledMaxBytes) return unpooledBuffer(size);
    const step = stepOf(size);
    const free = this.#free[step]?.pop();
    if (free !== undefined) {
      this.#freeBytes -= free.bytes.length;
      return free;
    }
    const created = createBuffer(sizeOf(step), () => this.#putBack(created, step));
    return created;
  }

  #putBack(released: PooledBuffer, step: number): void {
    if (this.#freeBytes + released.bytes.length > freeMaxBytes) return;
    this.#freeBytes += released.bytes.length;
    (this.#free[step] ??= []).push(released);
  }
}

/** A buffer that is never reused, for a stream that may pass its bytes on. */
export function unpooledBuffer(size: number): PooledBuffer {
  return createBuffer(size, undefined);
}

function createBuffer(size: number, putBack: (() => void) | undefined): PooledBuffer {
  const created: PooledBuffer = {
    bytes: Buffer.allocUnsafeSlow(size),
    onRelease: undefined,
    release() {
      const { onRelease } = created;
      created.onRelease = undefined;
      putBack?.();
      onRelease?.();
    },
  };
  return created;
}

/** 0 for up to 4 KB, 1 for up to 8 KB … 15 for up to 64 KB, 16 for up to 128 KB and so on. */
function stepOf(size: number): number {
  if (size <= fineMaxBytes) return Math.max(0, Math.ceil(size / bufferMinBytes) - 1);
  return fineSteps - 1 + Math.ceil(Math.log2(size / fineMaxBytes));
}

function sizeOf(step: number): number {
  return step < fineSteps ? (step + 1) * bufferMinBytes : fineMaxBytes << (step - fineSteps + 1);
}
