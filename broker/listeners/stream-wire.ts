/**
 * A connection whose TLS runs in this thread: a socket, or the stream of a WebSocket.
 *
 * @module
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
  WriteBuffers,
} from '../contracts/connection-wire.ts';

/** For fewer bytes a slice of Node's own pool is as cheap as a buffer of ours. */
const pooledMinBytes = 4 * 1024;

export class StreamWire implements Wire {
  readonly unreportedMaxBytes: number = 0;
  readonly #stream: Duplex;
  #buffers: WriteBuffers | undefined = undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  get isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.writableEnded;
  }

  get isFinished(): boolean {
    return this.#stream.writableFinished;
  }

  /**
   * A socket does not need the bytes any more when it calls back; any other stream may have passed
   * them on.
   */
  get reusesBuffers(): boolean {
    return this.#stream instanceof Socket;
  }

  listen(handlers: WireHandlers, buffers: WriteBuffers): void {
    const stream = this.#stream;
    if (this.reusesBuffers) this.#buffers = buffers;
    stream.on('data', (chunk: Buffer) => handlers.onData(chunk));
    stream.on('drain', () => handlers.onRoom());
    const onClosed = (): void => {
      handlers.onClosed();
      if (!stream.destroyed) stream.destroy();
    };
    for (const event of ['end', 'error', 'close']) stream.on(event, onClosed);
  }

  accepts(): boolean {
    return !this.#stream.writableNeedDrain;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    // While earlier bytes still wait, nobody knows when a pooled buffer would be free again.
    const buffer =
      batch.isView || batch.bytes < pooledMinBytes || this.#stream.writableLength > 0
        ? undefined
        : this.#buffers?.acquire(batch.bytes);
    if (buffer === undefined) {
      this.sendBuffer(batch.join(), undefined, onSent);
      return;
    }
    batch.copyTo(buffer.bytes, 0);
    this.sendBuffer(buffer.bytes.subarray(0, batch.bytes), buffer, onSent);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    if (buffer !== undefined) {
      buffer.onRelease = onSent;
      this.#stream.write(bytes, buffer.release);
    } else if (onSent !== undefined) this.#stream.write(bytes, onSent);
    else this.#stream.write(bytes);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  stream(): Duplex {
    return this.#stream;
  }
}
