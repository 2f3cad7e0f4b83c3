/**
 * The read side of one connection: splits what arrives into packets, and stops reading while there is a
 * reason to.
 *
 * @module
 */
import type { Cancel } from '../../../core/clock.ts';
import type { Wire } from '../../contracts/connection-wire.ts';
import type { SessionContext } from '../state/context.ts';
import { Framer, type FramerRoom, type PacketHandler } from '../wire/framer.ts';
import type { RateLimit } from './rate-limit.ts';
import type { ReadTurns, WaitingReader } from './read-turns.ts';
import type { WriteScheduler } from './write-scheduler.ts';

/** Why reading is paused. Several reasons can apply at a time. */
export const pauseReasons = {
  rateLimit: 1,
  store: 2,
  outbound: 4,
  plugIn: 8,
  turn: 16,
  part: 32,
  confirmations: 64,
  order: 128,
  retained: 256,
} as const;

/**
 * After so many deliveries of its messages, or so much time with many of them, a connection lets others have a turn of
 * the event loop. The deliveries take about 7 ms when their code is optimized, and several times as much before.
 */
const deliveriesPerTurn = 20_000;
const deliveringMaxMs = 5;
/** The clock is read after so many deliveries. */
const deliveriesPerCheck = 1000;
/** So many turns at most it waits until what was delivered is written. */
const waitingTurnsMax = 50;

/** The first byte of CONNECT. */
const connectFirstByte = 0x10;

/** What the reader needs from its connection. */
export interface ReaderOwner {
  readonly closed: boolean;
  readonly rateLimit: RateLimit | undefined;
  readonly host: {
    readonly scheduler: Pick<WriteScheduler, 'isBehind'>;
    readonly readTurns: ReadTurns;
    readonly alwaysReads: boolean;
  };
  /** Whether packets for the client can still be written or buffered. */
  readonly hasRoom: boolean;
  /** A packet could not be handled. Closes the connection. */
  onReadError(error: unknown): void;
}

/** What the reader needs of the broker. */
export interface ReaderContext {
  readonly clock: SessionContext['clock'];
  readonly counters: Pick<SessionContext['counters'], 'bytesIn'>;
  readonly limits: Pick<SessionContext['limits'], 'connectPacketMaxBytes' | 'packetMaxBytes'>;
  readonly rooms: { readonly inbound: FramerRoom };
}

export class ConnectionReader implements WaitingReader {
  readonly #owner: ReaderOwner;
  readonly #wire: Pick<Wire, 'pause' | 'resume'>;
  readonly #context: ReaderContext;
  readonly #framer: Framer;
  #pauses = 0;
  #deliveries = 0;
  /** The deliveries since the clock was read. */
  #unchecked = 0;
  /** When this connection began to handle packets in this turn. */
  #turnStartMs = 0;
  /** So many packets are handled until the connection asks whether it may go on. */
  #packetsToCheck = 0;
  /** Whether something arrived since the last {@link silenceMs}. */
  #active = false;
  #lastActiveMs: number;
  #openedAtMs: number;
  #cancelRateLimitPause: Cancel | undefined = undefined;

  /** @param onPacket returns {@link afterPacket} */
  constructor(
    owner: ReaderOwner,
    wire: Pick<Wire, 'pause' | 'resume'>,
    context: ReaderContext,
    onPacket: PacketHandler,
  ) {
    this.#owner = owner;
    this.#wire = wire;
    this.#context = context;
    this.#lastActiveMs = this.#openedAtMs = context.clock.monotonicMs();
    this.#framer = new Framer(
      context.limits.connectPacketMaxBytes,
      context.rooms.inbound,
      onPacket,
    );
    this.#framer.firstByte = connectFirstByte;
  }

  /** Handles the packets of a chunk. */
  read(chunk: Buffer): void {
    if (this.#owner.closed) return;
    this.#active = true;
    this.#context.counters.bytesIn += chunk.length;
    this.#turnStartMs = this.#context.clock.monotonicMs();
    this.#packetsToCheck = this.#owner.host.readTurns.begin(this.#turnStartMs);
    try {
      this.#framer.push(chunk);
    } catch (error) {
      this.#owner.onReadError(error);
    }
    const { rateLimit } = this.#owner;
    if (rateLimit !== undefined) {
      const waitMs = rateLimit.bytes(chunk.length, this.#context.clock.monotonicMs());
      if (waitMs > 0) this.pauseFor(waitMs);
    }
    // A client that does not read its acknowledgements is not read from either.
    if (!this.#owner.hasRoom && !this.#owner.host.alwaysReads) this.pause(pauseReasons.outbound);
  }

  /** A packet was handled. @returns whether the next one may be handled now */
  afterPacket(): boolean {
    if (--this.#packetsToCheck <= 0) this.#checkTurn();
    return this.#canContinue();
  }

  #canContinue(): boolean {
    return this.#pauses === 0 && !this.#owner.closed;
  }

  #checkTurn(): void {
    const { readTurns } = this.#owner.host;
    this.#packetsToCheck = readTurns.mayGoOn();
    if (this.#packetsToCheck > 0 || !this.#canContinue()) return;
    this.pause(pauseReasons.part);
    readTurns.wait(this);
  }

  /** It is the turn of this connection again. */
  continueReading(): void {
    this.#packetsToCheck = 1;
    this.resume(pauseReasons.part);
  }

  /** CONNECT was accepted: packets may have their full size. */
  acceptAllPackets(): void {
    this.#framer.firstByte = 0;
    this.#framer.packetMaxBytes = this.#context.limits.packetMaxBytes;
  }

  setVersion(isMqtt5: boolean): void {
    this.#framer.shortestLength = isMqtt5;
  }

  isPausedFor(reason: number): boolean {
    return (this.#pauses & reason) !== 0;
  }

  pause(reason: number): void {
    if (this.#owner.closed) return;
    this.#pauses |= reason;
    this.#wire.pause();
  }

  /** A message was passed to so many receivers. A chunk of small messages with many receivers is handled in turns. */
  delivered(receivers: number): void {
    this.#deliveries += receivers;
    this.#unchecked += receivers;
    if (this.#unchecked < deliveriesPerCheck) return;
    this.#unchecked = 0;
    const usedMs = this.#context.clock.monotonicMs() - this.#turnStartMs;
    if (this.#deliveries < deliveriesPerTurn && usedMs < deliveringMaxMs) return;
    this.#deliveries = 0;
    this.pause(pauseReasons.turn);
    setImmediate(() => this.#continueAfterWrites(waitingTurnsMax));
  }

  /** More deliveries would only be buffered while those before are not written. */
  #continueAfterWrites(turnsLeft: number): void {
    if (turnsLeft > 0 && this.#owner.host.scheduler.isBehind) {
      setImmediate(() => this.#continueAfterWrites(turnsLeft - 1));
    } else this.resume(pauseReasons.turn);
  }

  resume(reason: number): void {
    if (!this.isPausedFor(reason)) return;
    this.#pauses &= ~reason;
    if (!this.#canContinue()) return;
    this.#turnStartMs = this.#context.clock.monotonicMs();
    this.#guard(() => this.#framer.resume());
    // The packets that were waiting may have paused reading again, or closed the connection.
    if (this.#canContinue()) this.#wire.resume();
  }

  /** Finishes a packet that waited for `reason`, then continues with the packets behind it. */
  resumeWith(reason: number, run: () => void): void {
    if (this.#owner.closed) return;
    this.#guard(run);
    this.resume(reason);
  }

  /** Stops reading for a while: the identity's rate is used up. */
  pauseFor(ms: number): void {
    if (this.#cancelRateLimitPause !== undefined || this.#owner.closed) return;
    this.pause(pauseReasons.rateLimit);
    this.#cancelRateLimitPause = this.#context.clock.after(ms, () => {
      this.#cancelRateLimitPause = undefined;
      this.resume(pauseReasons.rateLimit);
    });
  }

  /** How long nothing has arrived, in ms. While reading is paused, the client does not count as silent. */
  silenceMs(nowMs: number): number {
    if (this.#active || this.#pauses !== 0) {
      this.#active = false;
      this.#lastActiveMs = nowMs;
    }
    return nowMs - this.#lastActiveMs;
  }

  /** How long the connection is open, in ms, without pauses of the process. */
  ageMs(nowMs: number): number {
    return nowMs - this.#openedAtMs;
  }

  /** The process did not run for a while, and could not read. */
  onProcessPaused(ms: number): void {
    this.#lastActiveMs += ms;
    this.#openedAtMs += ms;
  }

  /** Discards the bytes that are not handled yet: the connection is closed. */
  clear(): void {
    this.#framer.clear();
    this.#cancelRateLimitPause?.();
    this.#cancelRateLimitPause = undefined;
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#owner.onReadError(error);
    }
  }
}
