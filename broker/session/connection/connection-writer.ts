/**
 * The way out of one connection: bytes are written to its stream, or wait for a client that does not
 * keep up, up to a limit in bytes and in time.
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

/** The connection, as far as its way out needs it. */
export interface WriterOwner {
  readonly closed: boolean;
  /** Whether something waits until there is room again. */
  readonly needsRoomNotice: boolean;
  /** There may be room again: for what waits to be sent, and for reading. */
  onRoom(): void;
  close(code: ErrorCode): void;
}

export class ConnectionWriter {
  readonly #owner: WriterOwner;
  readonly #stream: Duplex;
  readonly #context: SessionContext;
  #written: (() => void) | undefined = undefined;
  #backlog: Backlog | undefined = undefined;
  #stalledSinceMs = -1;
  #stalledBytes = 0;

  constructor(owner: WriterOwner, stream: Duplex, context: SessionContext) {
    this.#owner = owner;
    this.#stream = stream;
    this.#context = context;
    stream.on('drain', () => this.#drained());
  }

  /** What was given and has not left. */
  get bytes(): number {
    return this.#stream.writableLength + (this.#backlog?.bytes ?? 0);
  }

  /**
   * Writes what a box holds, or a copy of it later. The box stays the caller's. Far more than may wait
   * ends the connection as `outbound-too-slow`.
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
    // Behind bytes that still wait there is no telling when a block would come back.
    const block =
      batch.isView || batch.bytes < bufferMinBytes || this.#stream.writableLength > 0
        ? undefined
        : this.#pool?.acquire(batch.bytes);
    if (block === undefined) this.#writeFrom(undefined, batch.join());
    else {
      batch.copyTo(block.bytes, 0);
      this.#writeFrom(block, block.bytes.subarray(0, batch.bytes));
    }
  }

  /** Looks after a client that reads nothing, and after room; called every half second or so. */
  sweep(nowMs: number): void {
    if (!this.#stream.writableNeedDrain) {
      this.#stalledSinceMs = -1;
      // A limit below the stream's own mark is passed without a `drain` to tell that there is room again.
      this.#owner.onRoom();
    } else if (this.#stalledSinceMs < 0 || this.bytes < this.#stalledBytes) {
      this.#stalledSinceMs = nowMs;
      this.#stalledBytes = this.bytes;
    } else if (nowMs - this.#stalledSinceMs >= this.#context.limits.outboundStalledMaxMs) {
      this.#owner.close('outbound-too-slow');
    }
  }

  /**
   * Ends the stream behind what waits: at once when nothing does.
   *
   * @param tooSlow what waits would never be read
   */
  end(tooSlow: boolean): void {
    if (this.#backlog === undefined) this.#stream.end();
    else if (tooSlow) this.#stream.destroy();
  }

  /** Forgets what waits: the stream is gone. */
  clear(): void {
    this.#backlog?.clear();
    this.#backlog = undefined;
  }

  /** @param block comes back when `bytes` are written */
  #writeFrom(block: PooledBuffer | undefined, bytes: Buffer): void {
    const written = this.#whenWritten();
    if (block !== undefined) {
      block.onRelease = written;
      this.#stream.write(bytes, block.release);
    } else if (written !== undefined) this.#stream.write(bytes, written);
    else this.#stream.write(bytes);
  }

  /**
   * Who lends blocks: a socket is done with the bytes when it calls back; any other stream may have
   * handed them on.
   */
  get #pool(): BufferPool | undefined {
    return this.#stream instanceof Socket ? this.#context.batches.buffers : undefined;
  }

  /** Who waits for room is told when bytes are gone: below the stream's mark nothing drains. */
  #whenWritten(): (() => void) | undefined {
    return this.#owner.needsRoomNotice ? (this.#written ??= () => this.#owner.onRoom()) : undefined;
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
