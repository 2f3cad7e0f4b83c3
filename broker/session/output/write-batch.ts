/**
 * The packets that one connection sends in this turn of the event loop: a list of views, joined where
 * they are adjacent. It becomes one buffer, one write, one TLS record, one system call.
 *
 * Connections acquire a batch from a pool for one turn, so that an idle connection has none.
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
  /** The position of the packet id, counted from the start of the view. */
  readonly #packetIdsAt: number[] = [];
  /** The first byte of the packet in bits 16 to 23, its id in bits 0 to 15; 0: the view is not patched. */
  readonly #patches: number[] = [];

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Adds unchanged bytes. */
  add(buffer: Buffer, start: number, end: number): void {
    const last = this.#count - 1;
    this.bytes += end - start;
    // Packets that follow one another in one read buffer become one view.
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

  /** Adds a packet. In its copy the first byte is replaced, and the packet id if `packetIdAt` is not 0. */
  addPatched(
    buffer: Buffer,
    start: number,
    end: number,
    packetIdAt: number,
    firstByte: number,
    packetId: number,
  ): void {
    this.bytes += end - start;
    this.#push(buffer, start, end, packetIdAt, (firstByte << 16) | packetId);
  }

  /** Appends the packets of another batch. */
  addAll(other: WriteBatch): void {
    this.bytes += other.bytes;
    for (let index = 0; index < other.#count; index++) {
      const buffer = other.#buffers[index];
      if (buffer === undefined) continue;
      this.#push(
        buffer,
        other.#starts[index] ?? 0,
        other.#ends[index] ?? 0,
        other.#packetIdsAt[index] ?? 0,
        other.#patches[index] ?? 0,
      );
    }
  }

  /** Whether it is one unchanged view of the read buffer, which needs no copy. */
  get isView(): boolean {
    return this.#count === 1 && this.#patches[0] === 0;
  }

  /** All bytes as one buffer: a view if possible, otherwise a copy. */
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

  /** Copies all bytes, patched, into `target` from `start`. There must be room for {@link bytes}. */
  copyTo(target: Buffer, start: number): void {
    let at = start;
    for (let index = 0; index < this.#count; index++) {
      const buffer = this.#buffers[index];
      const from = this.#starts[index] ?? 0;
      const end = this.#ends[index] ?? 0;
      if (buffer === undefined) continue;
      const size = end - from;
      if (size <= copyLoopMaxBytes) {
        for (let next = from, to = at; next < end; next++, to++) target[to] = buffer[next] ?? 0;
      } else {
        buffer.copy(target, at, from, end);
      }
      const patch = this.#patches[index] ?? 0;
      if (patch !== 0) {
        target[at] = patch >>> 16;
        const packetIdAt = this.#packetIdsAt[index] ?? 0;
        if (packetIdAt !== 0) {
          target[at + packetIdAt] = (patch >>> 8) & 0xff;
          target[at + packetIdAt + 1] = patch & 0xff;
        }
      }
      at += size;
    }
  }

  clear(): void {
    this.bytes = 0;
    this.#count = 0;
    // The views are removed, so that a pooled batch keeps no read buffer alive. The arrays are reused.
    this.#buffers.length = 0;
    if (this.#starts.length > keptEntriesMax) {
      this.#starts.length = this.#ends.length = this.#packetIdsAt.length = this.#patches.length = 0;
    }
  }

  #push(buffer: Buffer, start: number, end: number, packetIdAt: number, patch: number): void {
    const index = this.#count++;
    this.#buffers[index] = buffer;
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#packetIdsAt[index] = packetIdAt;
    this.#patches[index] = patch;
  }
}

/** Up to this size a loop is faster than a call into the runtime. */
const copyLoopMaxBytes = 48;
/** A pooled batch with larger arrays releases them. */
const keptEntriesMax = 512;
const pooledMax = 4096;

/** Batches that are not in use. */
export class WriteBatchPool {
  /** The buffers that batches are copied into. */
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
