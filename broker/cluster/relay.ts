/**
 * Passes the bytes of a device's connection to the node that holds its partition, and back.
 *
 * @module
 */
import { systemClock, type Cancel, type Clock } from '../../core/clock.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
  WriteBuffers,
} from '../contracts/connection-wire.ts';
import { dataMaxBytes } from './mux-frames.ts';

/** How long one end may take to receive the last bytes after the other end has closed, in ms. */
const lingerMs = 5000;

export interface RelayOptions {
  /** Called once, when the connection of the device is closed. */
  readonly closed?: () => void;
  readonly clock?: Clock;
  /** How long a device may read nothing while bytes wait for it, in ms: `limits.broker.outboundStalledMaxMs`. */
  readonly stalledMaxMs?: number;
}

const defaultStalledMaxMs = 20_000;

/**
 * Connects the two until both are closed. While one end does not accept bytes, the other one is not read. When one
 * end closes, the other one gets what was received before, and is closed: after 5 s in any case. A device that does not
 * read is closed, because the other node cannot notice it while the bytes on the way are few.
 *
 * @param device the connection of the device; `listen` was not called
 * @param stream to or from the other node; `listen` was not called
 */
export function relay(device: Wire, stream: Wire, options: RelayOptions = {}): void {
  const { clock = systemClock, stalledMaxMs = defaultStalledMaxMs } = options;
  const toStream = new RelayDirection(device, stream, clock, Infinity);
  const toDevice = new RelayDirection(stream, device, clock, stalledMaxMs);
  device.listen(handlersOf(toStream, toDevice, options.closed), unpooled);
  stream.listen(handlersOf(toDevice, toStream), unpooled);
}

/**
 * @param from the direction whose source reports; it is the target of `to`
 * @param closed called once when the source is closed
 */
function handlersOf(from: RelayDirection, to: RelayDirection, closed?: () => void): WireHandlers {
  let isClosed = false;
  return {
    onData: (chunk) => from.onData(chunk),
    onRoom: () => to.onRoom(),
    onClosed: () => {
      from.onSourceClosed();
      to.onTargetClosed();
      if (isClosed) return;
      isClosed = true;
      closed?.();
    },
  };
}

class RelayDirection {
  readonly #source: Wire;
  readonly #target: Wire;
  readonly #clock: Clock;
  readonly #bytes = new RelayedBytes();
  /** What arrived while the target accepted nothing: what was on the way when the source was paused. */
  #waiting: Buffer[] | undefined = undefined;
  #paused = false;
  #sourceClosed = false;
  #targetClosed = false;
  #cancelLinger: Cancel | undefined = undefined;
  readonly #stalledMaxMs: number;
  #cancelStalled: Cancel | undefined = undefined;

  constructor(source: Wire, target: Wire, clock: Clock, stalledMaxMs: number) {
    this.#source = source;
    this.#target = target;
    this.#clock = clock;
    this.#stalledMaxMs = stalledMaxMs;
  }

  /** Bytes of the source. They are valid during this turn only. */
  onData(chunk: Buffer): void {
    if (this.#targetClosed) return;
    for (let at = 0; at < chunk.length; at += dataMaxBytes) {
      const part = chunk.length <= dataMaxBytes ? chunk : chunk.subarray(at, at + dataMaxBytes);
      if (this.#waiting === undefined && this.#target.accepts(part.length)) this.#send(part);
      else (this.#waiting ??= []).push(Buffer.from(part));
    }
    if (this.#waiting !== undefined || !this.#target.accepts(1)) this.#pause();
  }

  /** The target accepts bytes again. */
  onRoom(): void {
    if (this.#targetClosed) return;
    while (this.#waiting?.[0] !== undefined && this.#target.accepts(this.#waiting[0].length)) {
      const next = this.#waiting.shift();
      if (next !== undefined) this.#send(next);
    }
    if (this.#waiting?.length === 0) this.#waiting = undefined;
    if (this.#waiting !== undefined) return;
    if (this.#sourceClosed) this.#target.end();
    else if (this.#paused) {
      this.#paused = false;
      this.#cancelStalled?.();
      this.#source.resume();
    }
  }

  /** Nothing more comes: the target gets what waits, and its end. */
  onSourceClosed(): void {
    if (this.#sourceClosed) return;
    this.#sourceClosed = true;
    if (this.#targetClosed) return;
    if (this.#waiting === undefined) this.#target.end();
    this.#cancelLinger = patientTimeout(this.#clock, lingerMs, () => this.#target.destroy());
  }

  /** Nothing can be sent any more. What the source still sends is read and discarded, so that its end is noticed. */
  onTargetClosed(): void {
    if (this.#targetClosed) return;
    this.#targetClosed = true;
    this.#waiting = undefined;
    this.#cancelLinger?.();
    this.#cancelStalled?.();
    if (!this.#sourceClosed && this.#paused) this.#source.resume();
  }

  #send(part: Buffer): void {
    this.#bytes.view = part;
    this.#target.send(this.#bytes, undefined);
    this.#bytes.view = noBytes;
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#source.pause();
    if (this.#stalledMaxMs !== Infinity) this.#awaitProgress();
  }

  /** Closes the target if nothing leaves for too long. */
  #awaitProgress(): void {
    const { unsentBytes } = this.#target;
    this.#cancelStalled = patientTimeout(this.#clock, this.#stalledMaxMs, () => {
      if (this.#target.unsentBytes < unsentBytes) this.#awaitProgress();
      else this.#target.destroy();
    });
  }
}

const noBytes = Buffer.alloc(0);

/** A view that must be copied to be kept. */
class RelayedBytes implements OutboundBytes {
  view: Buffer = noBytes;
  readonly isView = false;

  get bytes(): number {
    return this.view.length;
  }

  join(): Buffer {
    return Buffer.from(this.view);
  }

  copyTo(target: Buffer, start: number): void {
    this.view.copy(target, start);
  }
}

/** Large pieces are rare on connections of devices, so that a pool does not pay. */
const unpooled: WriteBuffers = {
  acquire(size) {
    const buffer: WriteBuffer = {
      bytes: Buffer.allocUnsafe(size),
      onRelease: undefined,
      release: () => buffer.onRelease?.(),
    };
    return buffer;
  },
};
