/**
 * A connection without a network: the benchmark passes bytes to the session layer itself, and what the
 * session layer sends is only counted, so that nothing but the broker uses CPU time.
 *
 * @module
 */
import { Duplex } from 'node:stream';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
} from '../../broker/contracts/connection-wire.ts';

export class SilentWire implements Wire {
  readonly unsentBytes = 0;
  readonly unreportedMaxBytes = 0;
  readonly reusesBuffers = false;
  isOpen = true;
  isFinished = false;
  sentBytes = 0;
  /** The first byte of each packet batch that was sent last. */
  lastFirstByte = 0;
  #handlers: WireHandlers | undefined;

  listen(handlers: WireHandlers): void {
    this.#handlers = handlers;
  }

  /** Passes bytes to the session layer, as one chunk. */
  receive(chunk: Buffer): void {
    this.#handlers?.onData(chunk);
  }

  accepts(): boolean {
    return this.isOpen;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    this.sentBytes += batch.bytes;
    this.lastFirstByte = batch.join()[0] ?? 0;
    if (onSent !== undefined) setImmediate(onSent);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    this.sentBytes += bytes.length;
    this.lastFirstByte = bytes[0] ?? 0;
    buffer?.release();
    if (onSent !== undefined) setImmediate(onSent);
  }

  pause(): void {
    // The benchmark sends one packet at a time.
  }

  resume(): void {
    // As above.
  }

  end(): void {
    this.isOpen = false;
    this.isFinished = true;
    setImmediate(() => this.#handlers?.onClosed());
  }

  destroy(): void {
    this.end();
  }

  stream(): Duplex {
    return new Duplex();
  }
}
