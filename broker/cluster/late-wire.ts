/**
 * A wire whose connection is not there yet: it accepts no bytes until {@link LateWire.attach} is called.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import { PassThrough } from 'node:stream';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
  WriteBuffers,
} from '../contracts/connection-wire.ts';

export class LateWire implements Wire {
  readonly unreportedMaxBytes = 0;
  readonly reusesBuffers = false;
  #wire: Wire | undefined = undefined;
  #listening: { readonly handlers: WireHandlers; readonly buffers: WriteBuffers } | undefined =
    undefined;
  #isPaused = false;
  #isOver = false;

  get unsentBytes(): number {
    return this.#wire?.unsentBytes ?? 0;
  }

  get isOpen(): boolean {
    return this.#wire?.isOpen ?? !this.#isOver;
  }

  get isFinished(): boolean {
    return this.#wire?.isFinished ?? this.#isOver;
  }

  /** Whether it was ended or destroyed before it had a connection. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Uses a connection from now on. */
  attach(wire: Wire): void {
    if (this.#isOver) {
      wire.destroy();
      return;
    }
    this.#wire = wire;
    if (this.#listening === undefined) return;
    const { handlers, buffers } = this.#listening;
    wire.listen(handlers, buffers);
    if (this.#isPaused) wire.pause();
    handlers.onRoom();
  }

  listen(handlers: WireHandlers, buffers: WriteBuffers): void {
    this.#listening = { handlers, buffers };
    this.#wire?.listen(handlers, buffers);
  }

  accepts(bytes: number): boolean {
    return this.#wire?.accepts(bytes) ?? false;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    this.#wire?.send(batch, onSent);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    if (this.#wire === undefined) buffer?.release();
    else this.#wire.sendBuffer(bytes, buffer, onSent);
  }

  pause(): void {
    this.#isPaused = true;
    this.#wire?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#wire?.resume();
  }

  end(): void {
    if (this.#wire === undefined) this.destroy();
    else this.#wire.end();
  }

  destroy(): void {
    if (this.#wire !== undefined) {
      this.#wire.destroy();
      return;
    }
    if (this.#isOver) return;
    this.#isOver = true;
    // In the next turn, as that of a connection.
    setImmediate(() => this.#listening?.handlers.onClosed());
  }

  stream(): Duplex {
    return this.#wire?.stream() ?? new PassThrough();
  }
}
