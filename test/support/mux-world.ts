/**
 * Two nodes with streams over a pair of streams, without TLS.
 *
 * @module
 */
import type { Wire, WireHandlers, WriteBuffers } from '../../broker/contracts/connection-wire.ts';
import { StreamMux } from '../../broker/cluster/stream-mux.ts';
import { BufferPool } from '../../broker/session/output/buffer-pool.ts';
import { WriteBatch } from '../../broker/session/output/write-batch.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import { streamPair, type SplittingStream } from './stream-pair.ts';

const buffers: WriteBuffers = new BufferPool();

/** A user of a wire that keeps what arrives. */
export class WireUser implements WireHandlers {
  readonly wire: Wire;
  readonly chunks: Buffer[] = [];
  bytes = 0;
  rooms = 0;
  closed = 0;
  onReceived: ((chunk: Buffer) => void) | undefined = undefined;

  constructor(wire: Wire) {
    this.wire = wire;
    wire.listen(this, buffers);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  send(bytes: Buffer | string, onSent?: () => void): void {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    const batch = new WriteBatch();
    batch.add(buffer, 0, buffer.length);
    this.wire.send(batch, onSent);
  }

  onData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.onReceived === undefined) this.chunks.push(Buffer.from(chunk));
    else this.onReceived(chunk);
  }

  onRoom(): void {
    this.rooms++;
  }

  onClosed(): void {
    this.closed++;
  }
}

export interface MuxWorld {
  /** The node that opens streams. */
  readonly near: StreamMux;
  readonly far: StreamMux;
  readonly nearEnd: SplittingStream;
  readonly farEnd: SplittingStream;
  /** Why each of the two was closed. */
  readonly reasons: (string | undefined)[];
  /** The streams that arrived, in order, with their requests. */
  readonly opened: { readonly request: unknown; readonly user: WireUser }[];
  /** Opens a stream with the request `{ n }`. */
  open(n?: number): WireUser;
}

export function muxWorld(
  options: {
    seed?: number;
    clock?: Clock;
    streamsMax?: number;
    farMax?: number;
    /** Gets the streams that arrive, instead of a new {@link WireUser}. */
    onStream?: (request: unknown, stream: Wire) => void;
  } = {},
): MuxWorld {
  const { seed = 1, clock = systemClock, streamsMax = 10_000, farMax = streamsMax } = options;
  const [nearEnd, farEnd] = streamPair(seed);
  const reasons: (string | undefined)[] = [];
  const opened: { request: unknown; user: WireUser }[] = [];
  const near = new StreamMux({
    clock,
    streamsMax,
    onStream: undefined,
    onClosed: (reason) => void reasons.push(reason),
  });
  const far = new StreamMux({
    clock,
    streamsMax: farMax,
    onStream:
      options.onStream ??
      ((request, stream) => void opened.push({ request, user: new WireUser(stream) })),
    onClosed: (reason) => void reasons.push(reason),
  });
  near.attach(nearEnd);
  far.attach(farEnd);
  return {
    ...{ near, far, nearEnd, farEnd, reasons, opened },
    open: (n = 0) => new WireUser(near.open({ n })),
  };
}
