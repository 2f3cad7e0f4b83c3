/**
 * The write side of one connection: writes bytes to its stream, or keeps them for a client that reads
 * slowly, up to a limit in bytes and in time.
 *
 * @module
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import { Backlog } from '../output/backlog.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';
import { bufferMinBytes, type PooledBuffer, type BufferPool } from '../output/buffer-pool.ts';

/** What the writer needs from its connection. */
export interface WriterOwner {
  readonly closed: boolean;
  /** Whether reading or sending waits for room. */
  readonly needsRoomNotice: boolean;
  /** Bytes were written: there may be room again. */
  onRoom(): void;
  close(code: ErrorCode): void;
}

/** How long a client may take to close its side after the broker has ended the stream, in ms. */
const lingerMs = 1000;

export class ConnectionWriter {
  readonly #owner: WriterOwner;
  readonly #stream: Duplex;
  readonly #context: SessionContext;
  #onWritten: (() => void) | undefined = undefined;
  #backlog: Backlog | undefined = undefined;
  #stalledSinceMs = -1;
  #stalledBytes = 0;
  /** Set when the stream was ended. */
  #lingerUntilMs: number | undefined = undefined;

  constructor(owner: WriterOwner, stream: Duplex, context: SessionContext) {
    this.#owner = owner;
    this.#stream = stream;
    this.#context = context;
    stream.on('drain', () => this.#drained());
  }

  /** The bytes that were passed to {@link write} and have not been sent. */
  get bytes(): number {
    return this.#stream.writableLength + (this.#backlog?.bytes ?? 0);
  }

  /**
   * Writes the bytes of a batch, or a copy of them later. The batch stays the caller's. If the backlog
   * is several times the limit, the connection is closed as `outbound-too-slow`.
   */
  write(batch: WriteBatch): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    this.#context.counters.bytesOut += batch.bytes;
    if (this.#backlog !== undefined || this.#stream.writableNeedDrain) {
      this.#backlog ??= new Backlog(this.#pool);
      this.#backlog.add(batch);
      if (this.#backlog.bytes > 4 * this.#context.limits.outboundPerConnectionMaxBytes) {
        this.#owner.close('outbound-too-slow');
      }
      return;
    }
    // While earlier bytes still wait, nobody knows when a pooled buffer would be free again.
    const buffer =
      batch.isView || batch.bytes < bufferMinBytes || this.#stream.writableLength > 0
        ? undefined
        : this.#pool?.acquire(batch.bytes);
    if (buffer === undefined) this.#writeFrom(undefined, batch.join());
    else {
      batch.copyTo(buffer.bytes, 0);
      this.#writeFrom(buffer, buffer.bytes.subarray(0, batch.bytes));
    }
  }

  /** The process did not run for a while, and could not notice that the client reads. */
  onProcessPaused(ms: number): void {
    if (this.#stalledSinceMs >= 0) this.#stalledSinceMs += ms;
  }

  /**
   * Closes the connection of a client that does not read, and cuts one that does not close its side.
   * Called about every 500 ms.
   */
  sweep(nowMs: number): void {
    if (this.#lingerUntilMs !== undefined) {
      if (nowMs >= this.#lingerUntilMs) this.#stream.destroy();
      return;
    }
    if (!this.#stream.writableNeedDrain) {
      this.#stalledSinceMs = -1;
      // Below its high-water mark the stream emits no 'drain', so room is checked here too.
      this.#owner.onRoom();
    } else if (this.#stalledSinceMs < 0 || this.bytes < this.#stalledBytes) {
      this.#stalledSinceMs = nowMs;
      this.#stalledBytes = this.bytes;
    } else if (nowMs - this.#stalledSinceMs >= this.#context.limits.outboundStalledMaxMs) {
      this.#owner.close('outbound-too-slow');
    }
  }

  /**
   * Ends the stream after the waiting bytes.
   *
   * @param tooSlow the client does not read: the waiting bytes are discarded
   */
  end(tooSlow: boolean): void {
    this.#lingerUntilMs = this.#context.clock.monotonicMs() + lingerMs;
    if (this.#stream.destroyed) return;
    // What the client still sends is read and discarded, so that its end is noticed.
    this.#stream.resume();
    if (this.#backlog === undefined) this.#stream.end();
    else if (tooSlow) this.#stream.destroy();
  }

  /** Discards the waiting bytes: the stream is closed. */
  clear(): void {
    this.#backlog?.clear();
    this.#backlog = undefined;
  }

  /** @param buffer the pooled buffer that holds `bytes`: it is released when they are written */
  #writeFrom(buffer: PooledBuffer | undefined, bytes: Buffer): void {
    const onWritten = this.#whenWritten();
    if (buffer !== undefined) {
      buffer.onRelease = onWritten;
      this.#stream.write(bytes, buffer.release);
    } else if (onWritten !== undefined) this.#stream.write(bytes, onWritten);
    else this.#stream.write(bytes);
  }

  /**
   * The pool for write buffers. A socket does not need the bytes any more when it calls back; any other
   * stream may have passed them on, so it gets none.
   */
  get #pool(): BufferPool | undefined {
    return this.#stream instanceof Socket ? this.#context.batches.buffers : undefined;
  }

  /**
   * The callback of a write, if something waits for room: below its high-water mark the stream emits no
   * 'drain'.
   */
  #whenWritten(): (() => void) | undefined {
    return this.#owner.needsRoomNotice
      ? (this.#onWritten ??= () => this.#owner.onRoom())
      : undefined;
  }

  #drained(): void {
    const backlog = this.#backlog;
    if (backlog !== undefined) {
      while (!this.#stream.writableNeedDrain && !this.#stream.destroyed) {
        const next = backlog.shift();
        if (next === undefined) break;
        this.#writeFrom(next.buffer, next.bytes);
      }
      if (backlog.isEmpty) {
        this.#backlog = undefined;
        if (this.#owner.closed) this.#stream.end();
      }
    }
    this.#owner.onRoom();
  }
}
