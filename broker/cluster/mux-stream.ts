/**
 * One stream between two nodes, as the connection that the session layer and the relay use.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
} from '../contracts/connection-wire.ts';
import { ObservedStream } from '../listeners/observed-stream.ts';
import { HeldBytes } from './held-bytes.ts';
import {
  dataMaxBytes,
  MuxFault,
  muxKinds,
  windowMaxBytes,
  windowStartBytes,
} from './mux-frames.ts';
import type { MuxOutput, OutputOwner } from './mux-output.ts';

/** What a stream needs from the connection that carries it. */
export interface StreamLink {
  readonly output: MuxOutput;
  readonly isClosed: boolean;
  /** Calls {@link MuxStream.onOutputRoom} when the output has room. */
  awaitRoom(stream: MuxStream): void;
  /** Both ends have closed the stream: its number is free. */
  finished(stream: MuxStream): void;
}

interface SentCallback {
  readonly at: number;
  readonly run: () => void;
}

interface PendingBytes {
  readonly bytes: Buffer;
  readonly buffer: WriteBuffer | undefined;
}

export class MuxStream implements Wire, OutputOwner {
  readonly reusesBuffers = true;
  readonly unreportedMaxBytes = 0;
  readonly id: number;
  readonly #link: StreamLink;
  #handlers: WireHandlers | undefined = undefined;
  #stream: ObservedStream | undefined = undefined;

  #sentBytes = 0;
  #leftBytes = 0;
  #callbacks: SentCallback[] | undefined = undefined;
  /** What the peer allows to send now. */
  #credit = windowStartBytes;
  /** What waits for credit or for room, and where its first unsent byte is. */
  #pending: PendingBytes[] | undefined = undefined;
  #pendingAt = 0;
  #slot = 0;
  /** Whether `accepts` returned false. */
  #awaitsRoom = false;
  /** Whether `end` or `destroy` was called. */
  #ended = false;
  /** Whether `end` or `destroy` was sent: nothing may follow. */
  #lastSent = false;

  #window = windowStartBytes;
  /** How much of the window the peer may still use. */
  #windowLeft = windowStartBytes;
  /** What was handled and has not become credit of the peer. */
  #handledBytes = 0;
  #paused = false;
  #held: HeldBytes | undefined = undefined;
  #delivering = false;
  /** Whether the peer sent `end` or `destroy`. */
  #lastReceived = false;

  /** Nothing more is passed to the handlers but `onClosed`. */
  #closed = false;
  #reportedClosed = false;

  constructor(link: StreamLink, id: number) {
    this.#link = link;
    this.id = id;
  }

  get unsentBytes(): number {
    return this.#sentBytes - this.#leftBytes;
  }

  get isOpen(): boolean {
    return !this.#ended && !this.#closed && !this.#link.isClosed;
  }

  get isFinished(): boolean {
    return this.#ended && this.unsentBytes === 0;
  }

  listen(handlers: WireHandlers): void {
    this.#handlers = handlers;
    if (this.#held !== undefined || this.#lastReceived || this.#closed) {
      process.nextTick(() => {
        if (this.#closed) this.#reportClosed();
        else this.#deliverHeld();
      });
    }
  }

  /** Any number of bytes is accepted at a time; what has no credit waits, and nothing more is accepted then. */
  accepts(): boolean {
    const { output } = this.#link;
    if (this.#pending === undefined && this.#credit > 0 && output.hasRoom) return true;
    this.#awaitsRoom = true;
    if (!output.hasRoom) this.#link.awaitRoom(this);
    return false;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    const { bytes } = batch;
    if (!this.#accept(bytes, onSent)) return;
    if (this.#fits(bytes)) {
      const at = this.#reserve(bytes);
      batch.copyTo(this.#link.output.bytes, at);
      return;
    }
    const copy = Buffer.allocUnsafe(bytes);
    batch.copyTo(copy, 0);
    this.#wait(copy, undefined);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    if (this.#accept(bytes.length, onSent)) {
      if (!this.#fits(bytes.length)) {
        this.#wait(bytes, buffer);
        return;
      }
      const at = this.#reserve(bytes.length);
      bytes.copy(this.#link.output.bytes, at);
    }
    buffer?.release();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deliverHeld();
  }

  end(): void {
    if (!this.isOpen) return;
    this.#ended = true;
    if (this.#pending === undefined) this.#sendLast(muxKinds.end);
  }

  destroy(): void {
    if (this.#closed) return;
    this.#close(muxKinds.destroy);
    process.nextTick(() => this.#reportClosed());
  }

  stream(): Duplex {
    return (this.#stream ??= new ObservedStream(this, this.#closed));
  }

  // ---- called by the connection that carries the stream ----

  /** The stream was never opened: it is closed after this turn. */
  refuse(): void {
    this.#lastSent = true;
    this.#lastReceived = true;
    this.destroy();
  }

  /** A frame of data begins. @throws MuxFault when the peer may not send it */
  begin(bytes: number): void {
    this.assertMore();
    if (bytes > this.#windowLeft) {
      throw new MuxFault(`${bytes} bytes with a credit of ${this.#windowLeft}`);
    }
    this.#windowLeft -= bytes;
  }

  /** @throws MuxFault when the peer has ended the stream before */
  assertMore(): void {
    if (this.#lastReceived) throw new MuxFault('a frame after the end of its stream');
  }

  received(part: Buffer): void {
    if (this.#closed) return;
    if (this.#paused || this.#handlers === undefined || this.#held !== undefined) {
      (this.#held ??= new HeldBytes()).push(part);
      return;
    }
    this.#handlers.onData(part);
    this.#handled(part.length);
  }

  /** @throws MuxFault when the peer allows more than it may */
  credited(bytes: number): void {
    this.assertMore();
    this.#credit += bytes;
    if (bytes === 0 || this.#credit > windowMaxBytes) throw new MuxFault(`a credit of ${bytes}`);
    this.onOutputRoom();
  }

  /** The peer sent `end` or `destroy`. */
  lastReceived(kind: number): void {
    this.assertMore();
    this.#lastReceived = true;
    if (this.#lastSent) this.#link.finished(this);
    if (kind === muxKinds.destroy) this.#held = undefined;
    this.#deliverHeld();
  }

  onOutputRoom(): void {
    if (this.#closed) return;
    this.#sendPending();
    if (!this.#awaitsRoom || this.#pending !== undefined || this.#credit === 0) return;
    if (!this.#link.output.hasRoom) {
      this.#link.awaitRoom(this);
      return;
    }
    this.#awaitsRoom = false;
    this.#handlers?.onRoom();
  }

  left(bytes: number): void {
    if (this.#closed) return;
    this.#leftBytes += bytes;
    const callbacks = this.#callbacks;
    while (callbacks?.[0] !== undefined && callbacks[0].at <= this.#leftBytes) {
      callbacks.shift()?.run();
    }
  }

  /** The connection to the peer is closed. What the peer has ended before can still be read. */
  lost(): void {
    if (this.#closed || (this.#lastReceived && this.#held !== undefined)) return;
    this.#close(muxKinds.destroy);
    this.#reportClosed();
  }

  // ---- sending ----

  #accept(bytes: number, onSent: (() => void) | undefined): boolean {
    if (!this.isOpen || bytes === 0) return false;
    this.#sentBytes += bytes;
    if (onSent !== undefined) (this.#callbacks ??= []).push({ at: this.#sentBytes, run: onSent });
    return true;
  }

  /** Whether one frame can leave now. */
  #fits(bytes: number): boolean {
    return (
      this.#pending === undefined &&
      bytes <= this.#credit &&
      bytes <= dataMaxBytes &&
      this.#link.output.hasRoom
    );
  }

  #reserve(bytes: number): number {
    const { output } = this.#link;
    this.#credit -= bytes;
    this.#slot = output.count(this, bytes, this.#slot);
    return output.reserve(muxKinds.data, this.id, bytes);
  }

  #wait(bytes: Buffer, buffer: WriteBuffer | undefined): void {
    const isFirst = this.#pending === undefined;
    (this.#pending ??= []).push({ bytes, buffer });
    if (isFirst) this.#sendPending();
  }

  #sendPending(): void {
    const { output } = this.#link;
    for (let first = this.#pending?.[0]; first !== undefined; first = this.#pending?.[0]) {
      if (!output.hasRoom) {
        this.#link.awaitRoom(this);
        return;
      }
      if (this.#credit === 0) return;
      const { bytes, buffer } = first;
      const size = Math.min(bytes.length - this.#pendingAt, this.#credit, dataMaxBytes);
      const at = this.#reserve(size);
      bytes.copy(output.bytes, at, this.#pendingAt, this.#pendingAt + size);
      this.#pendingAt += size;
      if (this.#pendingAt < bytes.length) continue;
      this.#pendingAt = 0;
      this.#pending?.shift();
      buffer?.release();
    }
    this.#pending = undefined;
    if (this.#ended && !this.#closed) this.#sendLast(muxKinds.end);
  }

  #sendLast(kind: number): void {
    if (this.#lastSent) return;
    this.#lastSent = true;
    this.#link.output.control(kind, this.id);
    if (this.#lastReceived) this.#link.finished(this);
  }

  // ---- receiving ----

  #deliverHeld(): void {
    if (this.#delivering || this.#closed || this.#handlers === undefined) return;
    this.#delivering = true;
    try {
      while (!this.#isBlocked()) {
        const next = this.#held?.shift();
        if (next === undefined) break;
        this.#handlers.onData(next);
        this.#handled(next.length);
      }
    } finally {
      this.#delivering = false;
    }
    if (this.#held?.isEmpty === true) this.#held = undefined;
    this.#closeAfterLast();
  }

  /** The peer has ended the stream, and everything that it sent before was handled. */
  #closeAfterLast(): void {
    if (!this.#lastReceived || this.#held !== undefined || this.#closed) return;
    this.#close(muxKinds.destroy);
    this.#reportClosed();
  }

  /** The checks of TypeScript do not know that a handler changes it. */
  #isBlocked(): boolean {
    return this.#paused || this.#closed;
  }

  /** The peer may send more, reported in steps. A receiver that keeps up gets a larger window. */
  #handled(bytes: number): void {
    this.#handledBytes += bytes;
    if (this.#handledBytes < this.#window / 4 || this.#lastSent || this.#lastReceived) return;
    const growth = this.#paused ? 0 : Math.min(this.#window, windowMaxBytes - this.#window);
    const credit = this.#handledBytes + growth;
    this.#window += growth;
    this.#windowLeft += credit;
    this.#handledBytes = 0;
    const { output } = this.#link;
    const at = output.control(muxKinds.credit, this.id, 4);
    output.bytes.writeUInt32BE(credit, at);
  }

  // ---- closing ----

  #close(kind: number): void {
    this.#closed = true;
    this.#ended = true;
    this.#held = undefined;
    this.#callbacks = undefined;
    for (const { buffer } of this.#pending ?? []) buffer?.release();
    this.#pending = undefined;
    this.#leftBytes = this.#sentBytes;
    this.#sendLast(kind);
  }

  #reportClosed(): void {
    // A handler that begins to listen later learns it then.
    if (this.#reportedClosed || this.#handlers === undefined) return;
    this.#reportedClosed = true;
    this.#handlers.onClosed();
    this.#stream?.destroy();
  }
}
