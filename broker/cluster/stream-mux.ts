/**
 * Many streams over one connection between two nodes.
 *
 * Each stream has a limit of bytes that its receiver has not handled, so that one that is not read neither stalls the
 * others nor needs much memory. The peer is authenticated, but may be wrong: what the protocol does not allow closes
 * the connection.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { Cancel, Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { parsedJson, utf8Text } from '../../core/json-text.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import { forEachInTurns } from '../../core/work-turns.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import {
  FrameParser,
  MuxFault,
  muxKinds,
  requestMaxBytes,
  type FrameHandlers,
} from './mux-frames.ts';
import { MuxOutput, type OutputEvents } from './mux-output.ts';
import { MuxStream, type StreamLink } from './mux-stream.ts';

export interface StreamMuxDeps {
  readonly clock: Clock;
  /** Maximum number of streams. One that is closed counts until the peer has confirmed it. */
  readonly streamsMax: number;
  /** The peer opened a stream. Undefined: it must not open any. The request is any JSON. */
  readonly onStream: ((request: unknown, stream: Wire) => void) | undefined;
  /** The connection is closed; called once. `reason`: undefined if {@link StreamMux.close} was called without one. */
  readonly onClosed: (reason: string | undefined) => void;
}

/** How often each end sends a sign of life. */
const pingMs = 1000;
/** After so many of these periods without a byte the peer is considered dead. */
const silentPeriodsMax = 5;
/** So many streams over the limit the peer may have opened before it learns that they are refused. */
const refusedMax = 1024;
/** How long the last bytes may take to leave when the connection is closed. */
const lingerMs = 1000;
const streamNumberMax = 2 ** 32 - 1;

export class StreamMux implements FrameHandlers, StreamLink, OutputEvents {
  readonly output: MuxOutput;
  readonly #deps: StreamMuxDeps;
  readonly #parser: FrameParser;
  readonly #streams = new Map<number, MuxStream>();
  /** Streams that wait for room of the output, in the order in which they get it. */
  #waiting = new Set<MuxStream>();
  /** The stream of the frame of data that is being received. */
  #current: MuxStream | undefined = undefined;
  #lastId = 0;
  #socket: Duplex | undefined = undefined;
  #closed = false;
  /** Whether something arrived in this period. */
  #heard = false;
  #silentPeriods = 0;
  #cancelPing: Cancel | undefined = undefined;

  constructor(deps: StreamMuxDeps) {
    this.#deps = deps;
    this.output = new MuxOutput(this);
    this.#parser = new FrameParser(this);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** The streams that are open, or closed without the confirmation of the peer. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Uses a connection. What was opened and sent before is sent now. Called once. */
  attach(socket: Duplex): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    for (const event of ['end', 'close']) {
      socket.on(event, () => this.close('the peer closed the connection'));
    }
    socket.on('error', (error: Error) => this.close(messageOf(error)));
    this.output.attach(socket);
    this.#watch();
  }

  /**
   * Opens a stream. If that is not possible, or the peer refuses it, `onClosed` of the stream follows.
   *
   * @throws RangeError when the request is longer than 16 KB as JSON
   */
  open(request: object): Wire {
    const json = Buffer.from(JSON.stringify(request));
    if (json.length > requestMaxBytes) throw new RangeError(`a request of ${json.length} bytes`);
    if (this.#closed || this.#streams.size >= this.#deps.streamsMax) {
      const refused = new MuxStream(this, 0);
      refused.refuse();
      return refused;
    }
    const stream = new MuxStream(this, this.#unusedId());
    this.#streams.set(stream.id, stream);
    const at = this.output.control(muxKinds.open, stream.id, json.length);
    json.copy(this.output.bytes, at);
    return stream;
  }

  /**
   * Closes the connection and all streams. Idempotent.
   *
   * @param reason why it failed; undefined: the bytes that were sent leave before
   */
  close(reason?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelPing?.();
    this.#parser.stop();
    const socket = this.#socket;
    if (reason !== undefined) socket?.destroy();
    else if (socket !== undefined) {
      this.output.flush();
      const cancel = this.#deps.clock.after(lingerMs, () => socket.destroy());
      socket.on('close', cancel);
      socket.end(() => socket.destroy());
    }
    this.output.stop();
    this.#waiting.clear();
    this.#deps.onClosed(reason);
    // Not now: the caller may be in the middle of something. There may be many.
    process.nextTick(() => void forEachInTurns(this.#streams.values(), closeLost));
  }

  // ---- called by streams and output ----

  awaitRoom(stream: MuxStream): void {
    this.#waiting.add(stream);
  }

  finished(stream: MuxStream): void {
    if (this.#closed) return;
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
  }

  onRoom(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const stream of waiting) {
      // The others keep their place before those that wait again.
      if (this.output.hasRoom) stream.onOutputRoom();
      else this.#waiting.add(stream);
    }
  }

  onOverflow(): void {
    this.close('the peer does not read');
  }

  // ---- called by the parser ----

  begin(kind: number, stream: number, bytes: number): void {
    if (kind !== muxKinds.data) return;
    this.#current = this.#streamOf(stream);
    this.#current.begin(bytes);
  }

  data(part: Buffer): void {
    this.#current?.received(part);
  }

  control(kind: number, id: number, payload: Buffer): void {
    if (kind === muxKinds.ping) {
      if (id !== 0) throw new MuxFault(`a ping on stream ${id}`);
      return;
    }
    if (kind === muxKinds.open) this.#opened(id, payload);
    else if (kind === muxKinds.credit) this.#streamOf(id).credited(payload.readUInt32BE(0));
    else this.#streamOf(id).lastReceived(kind);
  }

  #opened(id: number, payload: Buffer): void {
    const { onStream, streamsMax } = this.#deps;
    if (onStream === undefined || id === 0 || this.#streams.has(id)) {
      throw new MuxFault(`stream ${id} must not be opened`);
    }
    const request = requestIn(payload);
    const stream = new MuxStream(this, id);
    this.#streams.set(id, stream);
    if (this.#streams.size <= streamsMax) onStream(request, stream);
    else if (this.#streams.size <= streamsMax + refusedMax) stream.destroy();
    else throw new MuxFault(`${this.#streams.size} streams`);
  }

  #streamOf(id: number): MuxStream {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new MuxFault(`a frame of stream ${id}, which does not exist`);
    return stream;
  }

  #onData(chunk: Buffer): void {
    this.#heard = true;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof MuxFault)) throw error;
      this.close(`the peer sent ${error.message}`);
    }
    // The session layer writes at the end of this turn: its bytes are part of the same write.
    this.output.expectMore();
  }

  #unusedId(): number {
    do this.#lastId = this.#lastId >= streamNumberMax ? 1 : this.#lastId + 1;
    while (this.#streams.has(this.#lastId));
    return this.#lastId;
  }

  /** A pause of this process is not the silence of the peer: it is one period, however long it takes. */
  #watch(): void {
    this.#cancelPing = patientTimeout(this.#deps.clock, pingMs, () => {
      this.#silentPeriods = this.#heard ? 0 : this.#silentPeriods + 1;
      this.#heard = false;
      if (this.#silentPeriods >= silentPeriodsMax) {
        this.close('the peer is silent');
        return;
      }
      this.output.control(muxKinds.ping, 0);
      if (!this.#closed) this.#watch();
    });
  }
}

function closeLost(stream: MuxStream): undefined {
  stream.lost();
}

/** @throws MuxFault when it is not JSON */
function requestIn(payload: Buffer): unknown {
  try {
    return parsedJson(utf8Text(payload, 'a request'));
  } catch (error) {
    throw new MuxFault(`a request that cannot be read: ${messageOf(error)}`);
  }
}
