/**
 * One connection of a front: its socket, and what the core sends to it.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { writtenStepBytes } from './front-frames.ts';
import type { ByteSource, FrontOutbox } from './front-outbox.ts';

export class FrontConnection implements ByteSource {
  readonly id: number;
  readonly socket: TLSSocket;
  /** Whether it closes with the stream of its WebSocket, not with the socket. */
  closesLater = false;
  readonly #outbox: FrontOutbox;
  /** The socket, or the stream of its WebSocket; undefined until the core admitted it. */
  #stream: Duplex | undefined = undefined;
  #pausedByCore = false;
  #pausedForRoom = false;
  /** What is written at the end of this turn: positions in the ring. */
  #positions: number[] = [];
  #isAwaited = false;
  /** The bytes that were passed to the stream and are not in a reported write. */
  #unreportedBytes = 0;

  constructor(id: number, socket: TLSSocket, outbox: FrontOutbox) {
    this.id = id;
    this.socket = socket;
    this.#outbox = outbox;
  }

  /** Forwards what the client sends from now on. */
  start(stream: Duplex): void {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#outbox.sendData(this, chunk));
    const onEnd = (): void => {
      if (!stream.destroyed) stream.destroy();
    };
    stream.on('end', onEnd);
    stream.on('error', onEnd);
  }

  pauseReading(): void {
    this.#pausedForRoom = true;
    this.#stream?.pause();
  }

  resumeReading(): void {
    this.#pausedForRoom = false;
    this.#resume();
  }

  pause(): void {
    this.#pausedByCore = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#pausedByCore = false;
    this.#resume();
  }

  /**
   * Bytes of the ring for the client. They are written by {@link flush}, before the ring is released.
   *
   * @returns whether they are the first ones since the last flush
   */
  add(start: number, end: number, isAwaited: boolean): boolean {
    const isFirst = this.#positions.length === 0;
    this.#positions.push(start, end);
    if (isAwaited) this.#isAwaited = true;
    return isFirst;
  }

  /** Writes what was added. */
  flush(ring: Buffer): void {
    if (this.#positions.length === 0) return;
    const bytes = this.#joined(ring);
    this.#positions.length = 0;
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed || stream.writableEnded) return;
    this.#unreportedBytes += bytes.length;
    if (!this.#isAwaited && this.#unreportedBytes < writtenStepBytes) {
      stream.write(bytes);
      return;
    }
    const count = this.#unreportedBytes;
    this.#unreportedBytes = 0;
    this.#isAwaited = false;
    stream.write(bytes, () => this.#outbox.sendWritten(this.id, count));
  }

  end(): void {
    (this.#stream ?? this.socket).end();
  }

  destroy(): void {
    (this.#stream ?? this.socket).destroy();
    this.socket.destroy();
  }

  #resume(): void {
    if (!this.#pausedByCore && !this.#pausedForRoom) this.#stream?.resume();
  }

  /** One buffer of what was added: a view if its bytes are not needed after the write call returns. */
  #joined(ring: Buffer): Buffer {
    const [start = 0, end = 0] = this.#positions;
    if (this.#positions.length === 2) {
      const view = ring.subarray(start, end);
      // TLS has encrypted the bytes when write() returns, unless they wait behind others.
      const isView = this.#stream === this.socket && this.socket.writableLength === 0;
      return isView ? view : Buffer.from(view);
    }
    const parts: Buffer[] = [];
    for (let at = 0; at < this.#positions.length; at += 2) {
      parts.push(ring.subarray(this.#positions[at], this.#positions[at + 1]));
    }
    return Buffer.concat(parts);
  }
}
