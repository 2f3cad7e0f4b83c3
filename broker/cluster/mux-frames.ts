/**
 * The frames that carry the streams between two nodes: `[u32 payload bytes][u32 stream][u8 kind]`, then the payload.
 *
 * - The opener chooses the number of a stream: one that is not in use, not 0.
 * - Each end sends at most one `end` or `destroy` for a stream, and nothing after it. When both have done so, the
 *   number may be used again.
 * - An end may send as many bytes as it has credit: {@link windowStartBytes} in the beginning, and what the other
 *   end adds with `credit`, but never more than {@link windowMaxBytes} at a time.
 *
 * @module
 */

/** The kinds of frames. */
export const muxKinds = {
  /** A new stream: the request, JSON. */
  open: 1,
  data: 2,
  /** So many more bytes may be sent (u32). */
  credit: 3,
  /** No more data follows. */
  end: 4,
  /** The stream is closed; what was not handled is discarded. */
  destroy: 5,
  /** The sender is alive. Stream 0. */
  ping: 6,
} as const;

export const frameHeaderBytes = 9;
/** The largest frame with data of a stream. */
export const dataMaxBytes = 64 * 1024;
/** The largest request of a stream, as JSON. */
export const requestMaxBytes = 16 * 1024;
/** The credit of a new stream. It grows while the receiver handles the bytes at once. */
export const windowStartBytes = 64 * 1024;
export const windowMaxBytes = 256 * 1024;

/** The peer violated the protocol: the connection to it is closed. */
export class MuxFault extends Error {}

/** What the parser reports. Each function may throw a {@link MuxFault}. */
export interface FrameHandlers {
  /** The header of a frame, whose length is allowed for its kind. */
  begin(kind: number, stream: number, bytes: number): void;
  /** A part of the frame of data that began last. A view of what was received. */
  data(part: Buffer): void;
  /** A whole frame of another kind. The payload is valid during the call. */
  control(kind: number, stream: number, payload: Buffer): void;
}

const noBytes = Buffer.alloc(0);

/** Splits what arrives into frames. Data is passed on without a copy. */
export class FrameParser {
  readonly #handlers: FrameHandlers;
  readonly #header = Buffer.alloc(frameHeaderBytes);
  #headerBytes = 0;
  #inPayload = false;
  #kind = 0;
  #stream = 0;
  /** The bytes of the payload that have not arrived. */
  #left = 0;
  /** The parts of the payload of a control frame. */
  #parts: Buffer[] = [];
  #stopped = false;

  constructor(handlers: FrameHandlers) {
    this.#handlers = handlers;
  }

  /** @throws MuxFault when the bytes are not valid frames, and what the handlers throw */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#stopped;) {
      at = this.#inPayload ? this.#readPayload(chunk, at) : this.#readHeader(chunk, at);
    }
  }

  /** Handles nothing more, not even the rest of the chunk. */
  stop(): void {
    this.#stopped = true;
  }

  #readHeader(chunk: Buffer, at: number): number {
    if (this.#headerBytes === 0 && chunk.length - at >= frameHeaderBytes) {
      this.#begin(chunk, at);
      return at + frameHeaderBytes;
    }
    const end = Math.min(chunk.length, at + frameHeaderBytes - this.#headerBytes);
    this.#headerBytes += chunk.copy(this.#header, this.#headerBytes, at, end);
    if (this.#headerBytes === frameHeaderBytes) {
      this.#headerBytes = 0;
      this.#begin(this.#header, 0);
    }
    return end;
  }

  #begin(bytes: Buffer, at: number): void {
    const length = bytes.readUInt32BE(at);
    this.#stream = bytes.readUInt32BE(at + 4);
    this.#kind = bytes[at + 8] ?? 0;
    assertLength(this.#kind, length);
    this.#handlers.begin(this.#kind, this.#stream, length);
    this.#left = length;
    this.#inPayload = length > 0;
    if (length === 0) this.#handlers.control(this.#kind, this.#stream, noBytes);
  }

  #readPayload(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    const part = chunk.subarray(at, end);
    this.#left -= part.length;
    const isComplete = this.#left === 0;
    if (isComplete) this.#inPayload = false;
    if (this.#kind === muxKinds.data) this.#handlers.data(part);
    else if (!isComplete) this.#parts.push(Buffer.from(part));
    else {
      const parts = this.#parts;
      this.#parts = [];
      const payload = parts.length === 0 ? part : Buffer.concat([...parts, part]);
      this.#handlers.control(this.#kind, this.#stream, payload);
    }
    return end;
  }
}

function assertLength(kind: number, length: number): void {
  const [min, max] = lengths[kind] ?? [1, 0];
  if (length < min || length > max) {
    throw new MuxFault(`a frame of kind ${kind} with ${length} bytes`);
  }
}

/** The shortest and the longest payload of each kind. */
const lengths: Readonly<Record<number, readonly [number, number]>> = {
  [muxKinds.open]: [1, requestMaxBytes],
  [muxKinds.data]: [1, dataMaxBytes],
  [muxKinds.credit]: [4, 4],
  [muxKinds.end]: [0, 0],
  [muxKinds.destroy]: [0, 0],
  [muxKinds.ping]: [0, 0],
};
