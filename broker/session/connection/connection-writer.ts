/**
 * The write side of one connection: passes bytes to its wire, or keeps them for a client that reads
 * slowly, up to a limit in bytes and in time.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Wire } from '../../contracts/connection-wire.ts';
import { Backlog, chunkMaxBytes } from '../output/backlog.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';

/** What the writer needs from its connection. */
export interface WriterOwner {
  readonly closed: boolean;
  /** Whether reading or sending waits for room. */
  readonly needsRoomNotice: boolean;
  /** Bytes were sent: there may be room again. */
  resumeSending(): void;
  close(code: ErrorCode): void;
}

/** How long a client may take to close its side after the broker has ended the connection, in ms. */
const lingerMs = 1000;

export class ConnectionWriter {
  readonly #owner: WriterOwner;
  readonly #wire: Wire;
  readonly #context: SessionContext;
  #onSent: (() => void) | undefined = undefined;
  #backlog: Backlog | undefined = undefined;
  #stalledSinceMs = -1;
  /** The bytes that were ever passed to {@link write}. */
  #passedBytes = 0;
  /** Those of them that had been sent when the connection was last found to make progress. */
  #sentBytes = 0;
  /** The bytes in the wire that are counted as outbound bytes of all connections. */
  #countedBytes = 0;
  /** The bytes in the wire at the last {@link sweep}. */
  #sweptBytes = 0;
  /** Set when the connection was ended. */
  #lingerUntilMs: number | undefined = undefined;

  constructor(owner: WriterOwner, wire: Wire, context: SessionContext) {
    this.#owner = owner;
    this.#wire = wire;
    this.#context = context;
  }

  /** The bytes that were passed to {@link write} and have not been sent. */
  get bytes(): number {
    return this.#wire.unsentBytes + (this.#backlog?.bytes ?? 0);
  }

  /** The bytes that are certainly in the wire. */
  get #heldBytes(): number {
    return Math.max(0, this.#wire.unsentBytes - this.#wire.unreportedMaxBytes);
  }

  /** Whether little is left for all, and the client has several times what it may have of that. */
  get #usesRoomOfOthers(): boolean {
    const { outbound } = this.#context.rooms;
    return outbound.isScarce && this.bytes >= 4 * this.#shareBytes;
  }

  /** Whether it has as many bytes as it may: with a small limit that is before its wire is full. */
  get #isAtLimit(): boolean {
    return this.#heldBytes > 0 && this.bytes >= this.#shareBytes;
  }

  get #shareBytes(): number {
    const { limits, rooms } = this.#context;
    return rooms.outbound.shareOf(limits.outboundPerConnectionMaxBytes);
  }

  /**
   * Sends the bytes of a batch, or a copy of them later. The batch stays the caller's. If the backlog is
   * several times the limit, the connection is closed as `outbound-too-slow`.
   */
  write(batch: WriteBatch): void {
    const wire = this.#wire;
    if (!wire.isOpen) return;
    this.#context.counters.bytesOut += batch.bytes;
    this.#passedBytes += batch.bytes;
    if (this.#backlog === undefined && wire.accepts(batch.bytes)) {
      wire.send(batch, this.#whenSent());
      return;
    }
    const isFirst = this.#backlog === undefined;
    const pool = wire.reusesBuffers ? this.#context.batches.buffers : undefined;
    const backlog = (this.#backlog ??= new Backlog(pool, this.#context.rooms.outbound));
    backlog.add(batch);
    // The wire may accept a part of a large batch.
    if (isFirst) this.sendBacklog();
    if (backlog.bytes > 4 * this.#shareBytes) this.#owner.close('outbound-too-slow');
  }

  /** Sends what waits, as far as the wire accepts it. */
  sendBacklog(): void {
    const backlog = this.#backlog;
    if (backlog === undefined) {
      this.#count(0);
      return;
    }
    while (this.#wire.isOpen && this.#wire.accepts(chunkMaxBytes)) {
      const next = backlog.shift();
      if (next === undefined) break;
      this.#wire.sendBuffer(next.bytes, next.buffer, this.#whenSent());
    }
    // A full wire is counted at once. What is on its way is counted at sweeps, if it stays.
    this.#count(backlog.isEmpty ? 0 : this.#heldBytes);
    if (!backlog.isEmpty) return;
    this.#backlog = undefined;
    if (this.#lingerUntilMs !== undefined) this.#wire.end();
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
      if (nowMs >= this.#lingerUntilMs) this.#wire.destroy();
      return;
    }
    const heldBytes = this.#heldBytes;
    this.#count(Math.min(heldBytes, this.#sweptBytes));
    this.#sweptBytes = heldBytes;
    const accepts = this.#wire.accepts(1);
    // A wire that accepts more bytes does not report room, so room is checked here too.
    if (accepts) this.#owner.resumeSending();
    const sentBytes = this.#passedBytes - this.bytes;
    if (accepts && !this.#isAtLimit) {
      this.#stalledSinceMs = -1;
    } else if (this.#stalledSinceMs < 0 || sentBytes > this.#sentBytes) {
      this.#stalledSinceMs = nowMs;
      this.#sentBytes = sentBytes;
    } else if (
      nowMs - this.#stalledSinceMs >= this.#context.limits.outboundStalledMaxMs ||
      this.#usesRoomOfOthers
    ) {
      this.#owner.close('outbound-too-slow');
    }
  }

  /**
   * Ends the connection after the waiting bytes.
   *
   * @param tooSlow the client does not read: the waiting bytes are discarded
   */
  end(tooSlow: boolean): void {
    this.#lingerUntilMs = this.#context.clock.monotonicMs() + lingerMs;
    // It is freed within a second: the next client need not be closed for it.
    if (tooSlow) this.#count(0);
    if (!this.#wire.isOpen) return;
    // What the client still sends is read and discarded, so that its end is noticed.
    this.#wire.resume();
    if (this.#backlog === undefined) this.#wire.end();
    else if (tooSlow) this.#wire.destroy();
  }

  /** Discards the waiting bytes: the connection is closed. */
  clear(): void {
    this.#backlog?.clear();
    this.#backlog = undefined;
    this.#count(0);
  }

  #count(bytes: number): void {
    this.#context.rooms.outbound.bytes += bytes - this.#countedBytes;
    this.#countedBytes = bytes;
  }

  /**
   * The callback of a write, if something waits for room: a wire that accepts more bytes does not report
   * room.
   */
  #whenSent(): (() => void) | undefined {
    return this.#owner.needsRoomNotice
      ? (this.#onSent ??= () => this.#owner.resumeSending())
      : undefined;
  }
}
