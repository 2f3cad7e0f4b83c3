/**
 * The order in which connections continue that have sent more than one turn of the event loop may handle.
 *
 * A chunk of 64 KiB can contain thousands of packets, and some packets take 20 µs. While one connection has its turn,
 * nobody else is read from. So a connection handles a part of a chunk, and continues with the rest after the others: the
 * one that waits longest first. The chunks of all connections that arrive in one turn share its time.
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';

/** A connection that has more to handle. */
export interface WaitingReader {
  /** Handles the next part. Calls {@link ReadTurns.wait} if there is still more. */
  continueReading(): void;
}

/** How long one connection may handle packets before the others have their turn, in ms. */
const partMaxMs = 1;
/** The same while no other connection waits: with more messages in a turn, each receiver gets fewer and larger writes. */
const partAloneMaxMs = 5;
/** How long new chunks are handled in one turn of the event loop, in ms; after that, a few packets of each. */
const newChunksMaxMs = 5;
/** How long waiting connections are continued in one turn of the event loop, in ms. */
const turnMaxMs = 5;
/** The time of new chunks is measured once so many arrived, or one has many packets: most turns need no measurement. */
const chunksPerMeasurement = 8;
/** The clock is read after so many packets. */
const packetsPerCheck = 32;
/** As {@link packetsPerCheck}, while other connections wait: a packet with many receivers takes milliseconds. */
const packetsWhileOthersWait = 8;

export class ReadTurns {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #waiting: WaitingReader[] = [];
  /** Whether a new chunk is handled, not one that waited. */
  #isNew = false;
  #scheduled = false;
  /** When the part of the connection that has its turn ends. */
  #untilMs = 0;
  /** The new chunks since the time of a turn was measured. */
  #chunks = 0;
  /** When the time for the new chunks of this turn ends; undefined: it is not measured. */
  #newUntilMs: number | undefined = undefined;
  readonly #endMeasurement = (): void => {
    this.#newUntilMs = undefined;
  };
  readonly #run = (): void => this.#continueSome();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** A connection begins to handle a new chunk. @returns after how many packets it must call {@link mayGoOn} */
  begin(nowMs: number): number {
    this.#isNew = true;
    this.#untilMs = nowMs + (this.#waiting.length > 0 ? partMaxMs : partAloneMaxMs);
    if (++this.#chunks >= chunksPerMeasurement) this.#endOfNewChunks(nowMs);
    if (this.#newUntilMs !== undefined && nowMs >= this.#newUntilMs) return packetsWhileOthersWait;
    return this.#packets;
  }

  /** When the time for new chunks ends in this turn. The measurement begins with the first call. */
  #endOfNewChunks(nowMs: number): number {
    this.#chunks = 0;
    if (this.#newUntilMs === undefined) {
      this.#newUntilMs = nowMs + newChunksMaxMs;
      setImmediate(this.#endMeasurement);
    }
    return this.#newUntilMs;
  }

  /** @returns after how many further packets to call this again; 0: the connection must {@link wait} */
  mayGoOn(): number {
    // Those that wait came first.
    if (this.#isNew && this.#waiting.length > 0) return 0;
    const nowMs = this.#clock.monotonicMs();
    const untilMs = this.#isNew
      ? Math.min(this.#untilMs, this.#endOfNewChunks(nowMs))
      : this.#untilMs;
    return nowMs < untilMs ? this.#packets : 0;
  }

  get #packets(): number {
    return this.#waiting.length > 0 ? packetsWhileOthersWait : packetsPerCheck;
  }

  /** The connection is continued when it is its turn. */
  wait(reader: WaitingReader): void {
    this.#waiting.push(reader);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #continueSome(): void {
    this.#scheduled = false;
    this.#isNew = false;
    const readers = this.#waiting;
    // Those that still have more are added behind them.
    const count = readers.length;
    const endMs = this.#clock.monotonicMs() + turnMaxMs;
    let continued = 0;
    for (const reader of readers) {
      const nowMs = this.#clock.monotonicMs();
      if (continued === count || (continued > 0 && nowMs >= endMs)) break;
      continued++;
      this.#untilMs = nowMs + (count > 1 ? partMaxMs : partAloneMaxMs);
      reader.continueReading();
    }
    this.#waiting = readers.slice(continued);
    if (this.#waiting.length > 0) this.#schedule();
  }
}
