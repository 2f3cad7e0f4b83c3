/**
 * Two streams that are connected, and that split what is written at arbitrary places, as a network does.
 *
 * @module
 */
import { Duplex } from 'node:stream';

/** Numbers from 0 to `max - 1`, the same for the same seed. */
export function numbersOf(seed: number): (max: number) => number {
  let state = seed | 1;
  return (max) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    state = Math.imul(state ^ (state >>> 12), 0x297a2d39) | 1;
    return ((state ^ (state >>> 15)) >>> 0) % max;
  };
}

/** @param seed of the places */
export function streamPair(seed: number): [SplittingStream, SplittingStream] {
  const pick = numbersOf(seed);
  const one = new SplittingStream(pick);
  const other = new SplittingStream(pick);
  one.peer = other;
  other.peer = one;
  return [one, other];
}

export class SplittingStream extends Duplex {
  peer: SplittingStream | undefined = undefined;
  /** While set, nothing arrives at the other end. */
  stalled = false;
  readonly #pick: (max: number) => number;
  #waiting: (() => void) | undefined = undefined;

  constructor(pick: (max: number) => number) {
    super({ allowHalfOpen: false });
    this.#pick = pick;
    this.on('error', () => undefined);
  }

  /** What was written while it was stalled arrives. */
  release(): void {
    this.stalled = false;
    this.#waiting?.();
    this.#waiting = undefined;
  }

  override _read(): void {
    // The other end pushes.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const bytes = Buffer.from(chunk);
    const deliver = (at: number): void => {
      if (this.stalled) {
        this.#waiting = () => deliver(at);
        return;
      }
      const small = this.#pick(3) === 0;
      const end = Math.min(bytes.length, at + 1 + this.#pick(small ? 12 : 70_000));
      this.peer?.push(bytes.subarray(at, end));
      if (end < bytes.length) setImmediate(() => deliver(end));
      else done();
    };
    setImmediate(() => deliver(0));
  }

  override _final(done: () => void): void {
    this.peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this;
    if (peer !== undefined && !peer.destroyed) setImmediate(() => peer.destroy());
    done(error);
  }
}
