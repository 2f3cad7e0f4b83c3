/**
 * The contract between the session layer and the network: one connection to a client, on which bytes are
 * received and sent. The session layer does not know whether TLS runs in its own thread
 * (`listeners/stream-wire.ts`) or in another one.
 *
 * @module
 */
import type { Duplex } from 'node:stream';

/** Bytes to send that are in several places. They are valid only during the call that passes them. */
export interface OutboundBytes {
  readonly bytes: number;
  /** Whether {@link join} needs no copy. */
  readonly isView: boolean;
  /** All bytes as one buffer. */
  join(): Buffer;
  /** Copies all bytes into `target` from `start`. */
  copyTo(target: Buffer, start: number): void;
}

/** A buffer that is used again after {@link release}. */
export interface WriteBuffer {
  readonly bytes: Buffer;
  /** Called once, when the buffer is released. */
  onRelease: (() => void) | undefined;
  readonly release: () => void;
}

/** Where a wire gets buffers of at least `size` bytes. */
export interface WriteBuffers {
  acquire(size: number): WriteBuffer;
}

/** What a wire reports to the connection that uses it. */
export interface WireHandlers {
  /** Bytes arrived. They are valid until the end of this turn of the event loop. */
  onData(chunk: Buffer): void;
  /** After {@link Wire.accepts} returned false: there is room again. */
  onRoom(): void;
  /** The client closed the connection, or it failed. May be called more than once. */
  onClosed(): void;
}

export interface Wire {
  /** The bytes that were sent here and have not left the process, as far as is known. */
  readonly unsentBytes: number;
  /** Up to so many bytes of {@link unsentBytes} may have left without a report. */
  readonly unreportedMaxBytes: number;
  /** Whether bytes can be sent: neither {@link end} nor {@link destroy} was called. */
  readonly isOpen: boolean;
  /** Whether {@link end} was called and all bytes have left. */
  readonly isFinished: boolean;
  /** Whether a buffer that was sent may be used again when it is released. */
  readonly reusesBuffers: boolean;
  /** Starts to receive. Called once. */
  listen(handlers: WireHandlers, buffers: WriteBuffers): void;
  /** Whether so many bytes can be sent now without growing a queue. If not, `onRoom` follows. */
  accepts(bytes: number): boolean;
  /** Sends a batch. `onSent` is called when its bytes have left. */
  send(batch: OutboundBytes, onSent: (() => void) | undefined): void;
  /** Sends bytes that are in `buffer`, if there is one, and releases it when it is free again. */
  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void;
  /** Stops reading. What is already on the way may still arrive. */
  pause(): void;
  resume(): void;
  /** Closes the connection after the bytes that were sent. */
  end(): void;
  /** Closes the connection now. `onClosed` follows. */
  destroy(): void;
  /** The connection as a stream, for plug-ins. */
  stream(): Duplex;
}
