/**
 * What one connection is owed in this turn of the event loop: a list of views, joined where they
 * touch, that becomes one buffer, one write, one TLS record, one system call.
 *
 * Boxes are lent to connections for a turn and go back to a pool, so that an idle connection has none.
 *
 * @module
 */
import { BufferPool } from './buffer-pool.ts';

export class WriteBatch {
  bytes = 0;
  #count = 0;
  readonly #buffers: Buffer[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Where a packet id is patched in, counted from the start of the view. */
  readonly #idsAt: number[] = [];
  /** First byte of the packet in bits 16 to 23, packet id in bits 0 to 15; 0: nothing to patch. */
  readonly #patches: number[] = [];

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Adds bytes as they are. */
  add(buffer: Buffer, start: number, end: number): void {
    const last = this.#count - 1;
    this.bytes += end - start;
    // Frames that follow one another in one read chunk leave as one piece.
    if (
      last >= 0 &&
      this.#ends[last] === start &&
      this.#buffers[last] === buffer &&
      this.#patches[last] === 0
    ) {
      this.#ends[last] = end;
      return;
    }
    this.#push(buffer, start, end, 0, 0);
  }

  /** Adds a packet with its first byte patched in its copy, and its packet id when `idAt` is not 0. */
  addPatched(
    buffer: Buffer,
    start: number,
    end: number,
    idAt: number,
    first: number,
    id: number,
  ): void {
    this.bytes += end - start;
    this.#push(buffer, start, end, idAt, (first << 16) | id);
  }

  /** Takes all that another box holds, behind what is here. */
  addAll(other: WriteBatch): void {
    this.bytes += other.bytes;
    for (let index = 0; index < other.#count; index++) {
      const buffer = other.#buffers[index];
      if (buffer === undefined) continue;
      this.#push(
        buffer,
        other.#starts[index] ?? 0,
        other.#ends[index] ?? 0,
        other.#idsAt[index] ?? 0,
        other.#patches[index] ?? 0,
      );
    }
  }

  /** Whether it can leave as it lies in what was read, without a copy. */
  get isView(): boolean {
    return this.#count === 1 && this.#patches[0] === 0;
  }

  /** Everything as one buffer: a view when it is one piece, else a fresh copy. */
  join(): Buffer {
    const first = this.#buffers[0];
    if (this.isView && first !== undefined) {
      const start = this.#starts[0] ?? 0;
      const end = this.#ends[0] ?? 0;
      return start === 0 && end === first.length ? first : first.subarray(start, end);
    }
    const joined = Buffer.allocUnsafe(this.bytes);
    this.copyTo(joined, 0);
    return joined;
  }

  /** Copies everything, patched, into `joined` from `start`: there must be room for {@link bytes}. */
  copyTo(joined: Buffer, start: number): void {
    let at = start;
    for (let index = 0; index < this.#count; index++) {
      const buffer = this.#buffers[index];
      const from = this.#starts[index] ?? 0;
      const end = this.#ends[index] ?? 0;
      if (buffer === undefined) continue;
      const size = end - from;
      if (size <= copyLoopMaxBytes) {
        for (let next = from, to = at; next < end; next++, to++) joined[to] = buffer[next] ?? 0;
      } else {
        buffer.copy(joined, at, from, end);
      }
      const patch = this.#patches[index] ?? 0;
      if (patch !== 0) {
        joined[at] = patch >>> 16;
        const idAt = this.#idsAt[index] ?? 0;
        if (idAt !== 0) {
          joined[at + idAt] = (patch >>> 8) & 0xff;
          joined[at + idAt + 1] = patch & 0xff;
        }
      }
      at += size;
    }
  }

  clear(): void {
    this.bytes = 0;
    this.#count = 0;
    // The views go, so that a pooled box pins no read chunk; the arrays stay.
    this.#buffers.length = 0;
    if (this.#starts.length > keptEntriesMax) {
      this.#starts.length = this.#ends.length = this.#idsAt.length = this.#patches.length = 0;
    }
  }

  #push(buffer: Buffer, start: number, end: number, idAt: number, patch: number): void {
    const index = this.#count++;
    this.#buffers[index] = buffer;
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#idsAt[index] = idAt;
    this.#patches[index] = patch;
  }
}

/** Up to here a loop is faster than a call into the runtime. */
const copyLoopMaxBytes = 48;
const keptEntriesMax = 4096;
const pooledMax = 4096;

/** Boxes that nobody uses now. */
export class WriteBatchPool {
  /** What they are joined in. */
  readonly buffers = new BufferPool();
  readonly #free: WriteBatch[] = [];

  acquire(): WriteBatch {
    return this.#free.pop() ?? new WriteBatch();
  }

  release(batch: WriteBatch): void {
    batch.clear();
    if (this.#free.length < pooledMax) this.#free.push(batch);
  }
}
