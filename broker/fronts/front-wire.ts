/**
 * A connection whose socket is in a front: bytes go through the ring.
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
import { ringFrameMaxBytes, toFront, unsentMaxBytes, writtenStepBytes } from './front-frames.ts';
import type { RingSender } from './shared-ring.ts';

/** What a wire needs from the link to its front. */
export interface WireLink {
  readonly sender: RingSender;
  /** Sends a frame without bytes. It stays in order with all others of the connection. */
  control(kind: number, id: number): void;
  /** Frames were written: they are published at the end of this turn. */
  publishLater(): void;
  /** Calls {@link FrontWire.onRingRoom} when the ring has room. */
  awaitRoom(wire: FrontWire): void;
}

interface SentCallback {
  readonly at: number;
  readonly run: () => void;
}

export class FrontWire implements Wire {
  readonly reusesBuffers = true;
  readonly unreportedMaxBytes = writtenStepBytes;
  readonly #link: WireLink;
  readonly #id: number;
  #handlers: WireHandlers | undefined = undefined;
  #sentBytes = 0;
  #writtenBytes = 0;
  /** Whether `accepts` returned false because of the unsent bytes. */
  #awaitsWritten = false;
  #paused = false;
  #ended = false;
  #closed = false;
  /** What arrived while reading was paused: as much as was on the way. */
  #held: Buffer[] | undefined = undefined;
  #callbacks: SentCallback[] | undefined = undefined;
  #stream: ObservedStream | undefined = undefined;

  constructor(link: WireLink, id: number) {
    this.#link = link;
    this.#id = id;
  }

  get unsentBytes(): number {
    return this.#sentBytes - this.#writtenBytes;
  }

  get isOpen(): boolean {
    return !this.#ended && !this.#closed;
  }

  get isFinished(): boolean {
    return this.#ended && this.unsentBytes === 0;
  }

  listen(handlers: WireHandlers): void {
    this.#handlers = handlers;
  }

  accepts(bytes: number): boolean {
    if (this.unsentBytes >= unsentMaxBytes) {
      this.#awaitsWritten = true;
      return false;
    }
    if (bytes > ringFrameMaxBytes) return false;
    if (this.#link.sender.hasRoom(bytes)) return true;
    this.#link.awaitRoom(this);
    return false;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    const at = this.#reserve(batch.bytes, onSent);
    if (at >= 0) batch.copyTo(this.#link.sender.bytes, at);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    const at = this.#reserve(bytes.length, onSent);
    if (at >= 0) bytes.copy(this.#link.sender.bytes, at);
    buffer?.release();
  }

  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#link.control(toFront.pause, this.#id);
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    for (let next = this.#held?.shift(); next !== undefined; next = this.#held?.shift()) {
      this.#handlers?.onData(next);
      // The handler may pause again; then the rest waits.
      if (this.#isPaused()) return;
    }
    this.#held = undefined;
    this.#link.control(toFront.resume, this.#id);
  }

  end(): void {
    if (!this.isOpen) return;
    this.#ended = true;
    this.#link.control(toFront.end, this.#id);
  }

  destroy(): void {
    if (this.#closed) return;
    this.#ended = true;
    this.#link.control(toFront.destroy, this.#id);
  }

  stream(): Duplex {
    return (this.#stream ??= new ObservedStream(this, this.#closed));
  }

  // ---- called by the link ----

  /** Bytes of the client. The view is valid during this call. */
  received(chunk: Buffer): void {
    if (this.#paused) (this.#held ??= []).push(Buffer.from(chunk));
    else this.#handlers?.onData(chunk);
  }

  /** So many more bytes left the process. */
  written(bytes: number): void {
    this.#writtenBytes += bytes;
    const callbacks = this.#callbacks;
    while (callbacks?.[0] !== undefined && callbacks[0].at <= this.#writtenBytes) {
      callbacks.shift()?.run();
    }
    if (!this.#awaitsWritten || this.unsentBytes > unsentMaxBytes / 2) return;
    this.#awaitsWritten = false;
    this.#handlers?.onRoom();
  }

  onRingRoom(): void {
    if (!this.#closed) this.#handlers?.onRoom();
  }

  /** The socket is closed. */
  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = undefined;
    this.#callbacks = undefined;
    this.#handlers?.onClosed();
    this.#stream?.destroy();
  }

  /** The checks of TypeScript do not know that a handler changes it. */
  #isPaused(): boolean {
    return this.#paused;
  }

  /** `accepts` was called before, so there is room: nothing else writes in between. */
  #reserve(bytes: number, onSent: (() => void) | undefined): number {
    const kind = onSent === undefined ? toFront.data : toFront.dataAwaited;
    const at = this.#link.sender.reserve(kind, this.#id, bytes);
    if (at < 0) throw new Error('a frame without room in the ring');
    this.#sentBytes += bytes;
    if (onSent !== undefined) (this.#callbacks ??= []).push({ at: this.#sentBytes, run: onSent });
    this.#link.publishLater();
    return at;
  }
}
