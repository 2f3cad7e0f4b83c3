/**
 * The frames that one node sends to another. Those of one turn of the event loop are joined into one write: one TLS
 * record and one system call for the messages of many streams.
 *
 * @module
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { dataMaxBytes, frameHeaderBytes } from './mux-frames.ts';

/** Whose bytes are counted. */
export interface OutputOwner {
  /** So many of its bytes left the process. */
  left(bytes: number): void;
}

export interface OutputEvents {
  /** After {@link MuxOutput.hasRoom} was false: there is room again. */
  onRoom(): void;
  /** The peer does not read, and more waits than {@link unsentMaxBytes}. */
  onOverflow(): void;
}

/** One frame of data of the largest size, and small frames beside it. */
const chunkBytes = dataMaxBytes + 16 * 1024;
/** With so many unsent bytes no more data is accepted. */
const roomMaxBytes = 1024 * 1024;
/** Control frames are sent even then; with so many unsent bytes the connection is closed. */
const unsentMaxBytes = 16 * 1024 * 1024;
/** Chunks that are kept to be used again. */
const freeMax = 4;

interface OutputChunk {
  readonly bytes: Buffer;
  end: number;
}

/** What leaves with one write. */
interface OutputTurn {
  readonly chunks: OutputChunk[];
  readonly owners: OutputOwner[];
  readonly counts: number[];
  bytes: number;
}

export class MuxOutput {
  readonly #events: OutputEvents;
  #socket: Duplex | undefined = undefined;
  #turn: OutputTurn = emptyTurn();
  /** The last chunk of the turn. */
  #chunk: OutputChunk | undefined = undefined;
  readonly #free: Buffer[] = [];
  #unsentBytes = 0;
  #isFull = false;
  #overflows = false;
  #scheduled = false;
  #stopped = false;
  readonly #run = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(events: OutputEvents) {
    this.#events = events;
  }

  /** Where {@link reserve} has reserved. */
  get bytes(): Buffer {
    return this.#chunk?.bytes ?? Buffer.alloc(0);
  }

  /** Whether frames with data are accepted. If not, `onRoom` follows. */
  get hasRoom(): boolean {
    if (this.#unsentBytes >= roomMaxBytes) this.#isFull = true;
    return !this.#isFull;
  }

  /** Sends what waits, and everything from now on, to this socket. */
  attach(socket: Duplex): void {
    this.#socket = socket;
    this.flush();
  }

  /** Discards everything from now on. */
  stop(): void {
    this.#stopped = true;
    this.#turn = emptyTurn();
    this.#chunk = undefined;
  }

  /**
   * Writes the header of a frame.
   *
   * @param bytes of the payload, at most {@link dataMaxBytes}
   * @returns where the payload is to be written in {@link bytes}
   */
  reserve(kind: number, stream: number, bytes: number): number {
    const size = frameHeaderBytes + bytes;
    let chunk = this.#chunk;
    if (chunk === undefined || chunk.bytes.length - chunk.end < size) {
      chunk = { bytes: this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes), end: 0 };
      this.#chunk = chunk;
      this.#turn.chunks.push(chunk);
    }
    const at = chunk.end;
    chunk.bytes.writeUInt32BE(bytes, at);
    chunk.bytes.writeUInt32BE(stream, at + 4);
    chunk.bytes[at + 8] = kind;
    chunk.end += size;
    this.#turn.bytes += size;
    this.#unsentBytes += size;
    this.#schedule();
    return at + frameHeaderBytes;
  }

  /** As {@link reserve}, for a frame that is sent even if there is no room. */
  control(kind: number, stream: number, bytes = 0): number {
    if (this.#unsentBytes > unsentMaxBytes && !this.#overflows) {
      this.#overflows = true;
      process.nextTick(() => this.#events.onOverflow());
    }
    return this.reserve(kind, stream, bytes);
  }

  /**
   * The owner is to be called when the bytes that were reserved now have left.
   *
   * @param slot what the last call for this owner returned
   * @returns to be passed with the next call
   */
  count(owner: OutputOwner, bytes: number, slot: number): number {
    const { owners, counts } = this.#turn;
    if (owners[slot] === owner) {
      counts[slot] = (counts[slot] ?? 0) + bytes;
      return slot;
    }
    owners.push(owner);
    counts.push(bytes);
    return owners.length - 1;
  }

  /** Whoever writes later in this turn is part of the next write, as long as it has not happened. */
  expectMore(): void {
    if (this.#socket !== undefined) this.#schedule();
  }

  /** Writes now what was reserved. */
  flush(): void {
    const turn = this.#turn;
    const socket = this.#socket;
    if (socket === undefined || turn.chunks.length === 0 || this.#stopped) return;
    this.#turn = emptyTurn();
    this.#chunk = undefined;
    const last = turn.chunks.length - 1;
    for (const [index, { bytes, end }] of turn.chunks.entries()) {
      const view = bytes.subarray(0, end);
      if (index < last) socket.write(view);
      else socket.write(view, () => this.#written(turn));
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#socket === undefined || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #written({ chunks, owners, counts, bytes }: OutputTurn): void {
    this.#unsentBytes -= bytes;
    // A socket does not need the bytes any more; any other stream may have passed them on.
    if (this.#socket instanceof Socket) {
      for (const { bytes: free } of chunks) if (this.#free.length < freeMax) this.#free.push(free);
    }
    if (this.#stopped) return;
    for (const [index, owner] of owners.entries()) owner.left(counts[index] ?? 0);
    if (!this.#isFull || this.#unsentBytes > roomMaxBytes / 2) return;
    this.#isFull = false;
    this.#events.onRoom();
  }
}

function emptyTurn(): OutputTurn {
  return { chunks: [], owners: [], counts: [], bytes: 0 };
}
