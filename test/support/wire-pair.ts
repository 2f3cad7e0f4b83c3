/**
 * Two wires in memory that are the ends of one stream. A test can cut it, or hold back what is sent.
 *
 * Received bytes are overwritten after their turn, so that code that keeps a view of them fails.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type {
  OutboundBytes,
  Wire,
  WireHandlers,
  WriteBuffer,
} from '../../broker/contracts/connection-wire.ts';
import type { LayerTurn } from '../../broker/contracts/broker-layer.ts';

const roomBytes = 256 * 1024;
const chunkBytes = 64 * 1024;
const overwritten = 0xdb;

interface Sent {
  bytes: Buffer;
  readonly onSent: (() => void) | undefined;
}

export class PairedWire implements Wire {
  readonly unreportedMaxBytes = 0;
  readonly reusesBuffers = false;
  unsentBytes = 0;
  /** The other end. */
  other: PairedWire | undefined = undefined;
  isHeld = false;
  readonly #turn: LayerTurn;
  /** What this end has sent and the other one has not received. */
  readonly #sent: Sent[] = [];
  #handlers: WireHandlers | undefined = undefined;
  #paused = false;
  #ended = false;
  #destroyed = false;
  #needsRoom = false;
  #scheduled = false;

  constructor(turn: LayerTurn) {
    this.#turn = turn;
  }

  get isOpen(): boolean {
    return !this.#ended && !this.#destroyed;
  }

  get isFinished(): boolean {
    return this.#ended && this.#sent.length === 0;
  }

  listen(handlers: WireHandlers): void {
    this.#handlers = handlers;
    this.other?.deliver();
  }

  accepts(bytes: number): boolean {
    const accepts = this.unsentBytes + bytes <= roomBytes || this.unsentBytes === 0;
    if (!accepts) this.#needsRoom = true;
    return accepts;
  }

  send(batch: OutboundBytes, onSent: (() => void) | undefined): void {
    this.#send(Buffer.from(batch.join()), onSent);
  }

  sendBuffer(
    bytes: Buffer,
    buffer: WriteBuffer | undefined,
    onSent: (() => void) | undefined,
  ): void {
    this.#send(Buffer.from(bytes), onSent);
    buffer?.release();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.other?.deliver();
  }

  end(): void {
    this.#ended = true;
    this.deliver();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#sent.length = 0;
    setImmediate(() => this.#handlers?.onClosed());
    this.other?.destroy();
  }

  stream(): Duplex {
    throw new Error('there is no stream');
  }

  /** Passes what was sent to the other end, in later turns. */
  deliver(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliverSome();
    });
  }

  #send(bytes: Buffer, onSent: (() => void) | undefined): void {
    if (!this.isOpen) return;
    this.unsentBytes += bytes.length;
    this.#sent.push({ bytes, onSent });
    this.deliver();
  }

  #deliverSome(): void {
    const { other } = this;
    if (this.isHeld || other === undefined || other.#paused || other.#destroyed) return;
    if (other.#handlers === undefined || this.#destroyed) return;
    const [first] = this.#sent;
    if (first === undefined) {
      if (this.#ended) this.destroy();
      return;
    }
    const chunk = first.bytes.subarray(0, chunkBytes);
    if (chunk.length === first.bytes.length) this.#sent.shift();
    else first.bytes = first.bytes.subarray(chunk.length);
    this.unsentBytes -= chunk.length;
    other.#receive(chunk);
    if (chunk.length === first.bytes.length) first.onSent?.();
    if (this.#needsRoom && this.accepts(1)) {
      this.#needsRoom = false;
      this.#handlers?.onRoom();
    }
    if (this.#sent.length > 0 || this.#ended) this.deliver();
  }

  #receive(chunk: Buffer): void {
    this.#turn.hold();
    this.#handlers?.onData(chunk);
    do this.#turn.flush();
    while (this.#turn.isBehind);
    chunk.fill(overwritten);
  }
}

/** The ends of a stream. @param turns the write schedulers of the two session layers */
export function wirePair(turns: readonly [LayerTurn, LayerTurn]): [PairedWire, PairedWire] {
  const one = new PairedWire(turns[0]);
  const two = new PairedWire(turns[1]);
  one.other = two;
  two.other = one;
  return [one, two];
}
