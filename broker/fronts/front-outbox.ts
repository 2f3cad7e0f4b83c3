/**
 * What a front sends to the core: frames go into the ring, or wait in order until there is room.
 *
 * @module
 */
import { ringFrameMaxBytes, fromFront } from './front-frames.ts';
import type { RingSender } from './shared-ring.ts';

/** A connection whose bytes are sent. */
export interface ByteSource {
  readonly id: number;
  /** Its bytes wait for room: it must not be read until {@link resumeReading}. */
  pauseReading(): void;
  resumeReading(): void;
}

interface WaitingFrame {
  readonly kind: number;
  readonly id: number;
  readonly bytes: Buffer;
  readonly source: ByteSource | undefined;
}

const noBytes = Buffer.alloc(0);

export class FrontOutbox {
  readonly #sender: RingSender;
  /** At most the bytes of one read for each connection, because it is paused, and its last frames. */
  #waiting: WaitingFrame[] = [];
  #scheduled = false;

  constructor(sender: RingSender) {
    this.#sender = sender;
  }

  /** Sends a frame. Frames keep the order of the calls. */
  send(kind: number, id: number, text = ''): void {
    const bytes = text === '' ? noBytes : Buffer.from(text);
    this.#offer({ kind, id, bytes, source: undefined });
  }

  /** Sends bytes of a client, which are not copied if there is room. */
  sendData(source: ByteSource, chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += ringFrameMaxBytes) {
      const bytes =
        chunk.length <= ringFrameMaxBytes ? chunk : chunk.subarray(at, at + ringFrameMaxBytes);
      if (!this.#offer({ kind: fromFront.data, id: source.id, bytes, source }))
        source.pauseReading();
    }
  }

  /** Reports that so many bytes of a connection left the process. */
  sendWritten(id: number, count: number): void {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(count);
    this.#offer({ kind: fromFront.written, id, bytes, source: undefined });
  }

  /** There may be room: sends what waits. */
  flush(): void {
    const paused = new Set<ByteSource>();
    let sent = 0;
    for (const frame of this.#waiting) {
      if (!this.#put(frame)) break;
      sent++;
      if (frame.source !== undefined) paused.add(frame.source);
    }
    if (sent === 0) return;
    this.#waiting = this.#waiting.slice(sent);
    for (const { source } of this.#waiting) if (source !== undefined) paused.delete(source);
    for (const source of paused) source.resumeReading();
  }

  /** @returns whether it was sent at once */
  #offer(frame: WaitingFrame): boolean {
    if (this.#waiting.length === 0 && this.#put(frame)) return true;
    this.#waiting.push(frame);
    return false;
  }

  #put({ kind, id, bytes }: WaitingFrame): boolean {
    const at = this.#sender.reserve(kind, id, bytes.length);
    if (at < 0) return false;
    bytes.copy(this.#sender.bytes, at);
    this.#publishLater();
    return true;
  }

  #publishLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#publish);
  }

  readonly #publish = (): void => {
    this.#scheduled = false;
    this.#sender.publish();
  };
}
