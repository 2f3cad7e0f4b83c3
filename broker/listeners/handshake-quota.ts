/**
 * Decides which TLS handshakes may start, over all ports and threads. A handshake costs a thousand times
 * as much as a message. When a whole fleet reconnects at once, only as many handshakes start as can be
 * completed. The other connections wait, with fair turns per address, and cost nothing when they
 * disconnect while they wait.
 *
 * - Many handshakes run at a time while the event loop is idle, because then they wait for the network.
 *   Few run while it is busy, so that those that started complete before their clients time out.
 * - A handshake that stalls lets the next one start after a short time. An address may have only so many
 *   stalled ones, because they could all be completed in one turn of the event loop; its others wait.
 * - The last quarter of the half-open connections is a reserve: an address that has admitted no device
 *   lately may have at most a sixteenth of what is left, so that a few addresses cannot exclude others.
 *   When all places are taken, the address with the most of them loses a silent one (half-open-table.ts).
 *   The /64 of an IPv6 address counts as one address.
 * - While the event loop is busy, an address that has admitted no device lately runs few handshakes at a
 *   time: an unidentified client chooses how much CPU time the verification of its certificate costs.
 * - Connections over a limit are refused at once, so that the device tries again later.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { SecondWindow } from '../../core/second-window.ts';
import { HalfOpenTable, type HalfOpen } from './half-open-table.ts';

export interface QuotaLimits {
  readonly handshakesRunningMax: number;
  readonly handshakesHalfOpenMax: number;
  readonly handshakesHalfOpenPerAddressMax: number;
  readonly handshakesPerSecondMax: number;
  readonly handshakesPerAddressPerSecondMax: number;
}

/** A connection that waits for its handshake. */
export interface HandshakeCandidate {
  /** The handshake may start. */
  begin(): void;
  /** The connection must be closed. `code`: undefined when the broker stops. */
  refuse(code: ErrorCode | undefined): void;
}

/** The place of one connection, from its first byte until its handshake is complete. */
export interface HandshakeTicket {
  /** The client sent its first bytes: the handshake waits for its turn. */
  ready(): void;
  /** The handshake is complete, or the connection is closed. Idempotent. */
  release(): void;
}

/** Where connections ask for their handshake. */
export interface HandshakePlaces {
  /** Counts a new connection. Returns undefined when it was refused at once. */
  offer(remoteAddress: string, candidate: HandshakeCandidate): HandshakeTicket | undefined;
}

/** Maximum handshakes at a time in one thread while the event loop is busy. */
const runningBusyMax = 64;
/** Those of one address that has admitted no device lately. */
const unknownBusyMax = 16;
/** After this time the next handshake may start, whether or not this one is complete. */
const slotMs = 100;
/**
 * Stalled handshakes of one address in one thread; each costs about 0.3 ms when it is completed. A device on a slow
 * network stalls too: an address that has admitted a device lately may have more.
 */
const stalledUnknownMax = 128;
const stalledKnownMax = 1024;
/** Addresses whose rate is counted; beyond that, all counts start again. */
const windowsMax = 10_000;
/** Addresses with admitted devices that are remembered; beyond that, the oldest one is forgotten. */
const knownMax = 50_000;

export interface QuotaDeps {
  readonly clock: Clock;
  /** Whether an event loop that does handshakes is busy. */
  readonly load: { readonly busy: boolean };
  /** How many threads do handshakes. */
  readonly threads: number;
}

export class HandshakeQuota implements HandshakePlaces {
  readonly #limits: QuotaLimits;
  readonly #deps: QuotaDeps;
  /** Waiting connections per address. The first address is the next one to start a handshake. */
  readonly #queues = new Map<string, Set<Place>>();
  readonly #halfOpen: HalfOpenTable<Place>;
  /** Running handshakes per address. */
  readonly #runningOf = new Map<string, number>();
  /** Stalled handshakes per address: those that have used up the time of their slot. */
  readonly #stalledOf = new Map<string, number>();
  readonly #windows = new Map<string, SecondWindow>();
  /** Addresses from which devices were admitted, the latest last. */
  readonly #known = new AgeMap<string, true>();
  #running = 0;
  #waiting = 0;
  readonly #started: SecondWindow;
  #cancelNext: Cancel | undefined;
  #closed = false;
  /** Handshakes that were not started because the client disconnected. */
  abandoned = 0;

  constructor(limits: QuotaLimits, deps: QuotaDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#halfOpen = new HalfOpenTable({
      max: limits.handshakesHalfOpenMax,
      perSourceMax: limits.handshakesHalfOpenPerAddressMax,
    });
    this.#started = new SecondWindow(deps.clock);
  }

  get waiting(): number {
    return this.#waiting;
  }

  get running(): number {
    return this.#running;
  }

  /** Accepted connections whose handshake is not complete. */
  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  offer(remoteAddress: string, candidate: HandshakeCandidate): HandshakeTicket | undefined {
    const address = addressPrefix(remoteAddress);
    const code = this.#refusal(address);
    if (code !== undefined) {
      candidate.refuse(code);
      return undefined;
    }
    const sinceMs = this.#deps.clock.monotonicMs();
    const place: Place = { source: address, sinceMs, candidate, state: 'silent' };
    this.#halfOpen.add(place);
    return {
      ready: () => this.#enqueue(place),
      release: () => this.#release(place),
    };
  }

  /** A device was admitted from this address, which may use the reserve from now on. */
  admitted(remoteAddress: string): void {
    const address = addressPrefix(remoteAddress);
    this.#known.renew(address, true);
    const oldest = this.#known.size > knownMax ? this.#known.oldestKey() : undefined;
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  /** Refuses the connections that wait, and all that follow. */
  close(): void {
    this.#closed = true;
    this.#cancelNext?.();
    const waiting = [...this.#queues.values()].flatMap((queue) => [...queue]);
    for (const { candidate } of waiting) candidate.refuse(undefined);
    this.#queues.clear();
  }

  /** Why a connection is refused. Closes another one if it has to make room. */
  #refusal(address: string): ErrorCode | undefined {
    if (this.#closed) return 'server-shutting-down';
    if (this.#exceedsRate(address)) return 'handshakes-too-many';
    const nowMs = this.#deps.clock.monotonicMs();
    const room = this.#halfOpen.roomFor(address, this.#known.has(address), nowMs);
    if (room === 'full') return 'handshakes-too-many';
    if (room !== undefined) {
      this.#release(room);
      room.candidate.refuse('handshakes-too-many');
    }
    return undefined;
  }

  #exceedsRate(address: string): boolean {
    const max = this.#limits.handshakesPerAddressPerSecondMax;
    if (max === 0) return false;
    let window = this.#windows.get(address);
    if (window === undefined) {
      if (this.#windows.size >= windowsMax) this.#windows.clear();
      window = new SecondWindow(this.#deps.clock);
      this.#windows.set(address, window);
    }
    return !window.take(max);
  }

  #enqueue(place: Place): void {
    if (place.state !== 'silent') return;
    place.state = 'waiting';
    this.#halfOpen.spoke(place);
    const queue = this.#queues.get(place.source);
    if (queue === undefined) this.#queues.set(place.source, new Set([place]));
    else queue.add(place);
    this.#waiting++;
    this.#next();
  }

  #release(place: Place): void {
    const { state } = place;
    if (state === 'released') return;
    place.state = 'released';
    this.#halfOpen.remove(place);
    if (state === 'waiting') this.#abandon(place);
    else if (state === 'running') this.#releaseSlot(place);
    if (place.isStalled !== true) return;
    place.isStalled = false;
    count(this.#stalledOf, place.source, -1);
    this.#next();
  }

  #abandon(place: Place): void {
    this.abandoned++;
    const queue = this.#queues.get(place.source);
    if (queue?.delete(place) !== true) return;
    this.#waiting--;
    if (queue.size === 0) this.#queues.delete(place.source);
  }

  /** Starts handshakes while the limits allow it, beginning with the address that waited longest. */
  #next(): void {
    while (!this.#closed && this.#running < this.#runningMax()) {
      const next = this.#nextQueue();
      if (next === undefined) return;
      if (!this.#mayStart()) return;
      const [address, queue] = next;
      const [place] = queue;
      // The address moves to the end, so that one address cannot use all handshakes.
      this.#queues.delete(address);
      if (place === undefined) continue;
      queue.delete(place);
      if (queue.size > 0) this.#queues.set(address, queue);
      this.#waiting--;
      this.#start(place);
    }
  }

  /** The first address that may run another handshake. The others run some, so there are few of them. */
  #nextQueue(): [string, Set<Place>] | undefined {
    for (const next of this.#queues) if (this.#mayRunMore(next[0])) return next;
    return undefined;
  }

  #mayRunMore(address: string): boolean {
    const { load, threads } = this.#deps;
    const isKnown = this.#known.has(address);
    const running = this.#runningOf.get(address) ?? 0;
    // Those that run now may stall as well.
    const open = running + (this.#stalledOf.get(address) ?? 0);
    if (open >= (isKnown ? stalledKnownMax : stalledUnknownMax) * threads) return false;
    return isKnown || !load.busy || running < unknownBusyMax;
  }

  #runningMax(): number {
    const { load, threads } = this.#deps;
    const busyMax = runningBusyMax * threads;
    return this.#running >= busyMax && load.busy ? busyMax : this.#limits.handshakesRunningMax;
  }

  #start(place: Place): void {
    place.state = 'running';
    this.#countRunning(place.source, 1);
    place.cancel = this.#deps.clock.after(slotMs, () => {
      place.isStalled = true;
      count(this.#stalledOf, place.source, 1);
      this.#releaseSlot(place);
    });
    place.candidate.begin();
  }

  #releaseSlot(place: Place): void {
    if (place.cancel === undefined) return;
    place.cancel();
    place.cancel = undefined;
    this.#countRunning(place.source, -1);
    this.#next();
  }

  /** Applies the total rate limit. When it is reached, starts the next handshakes in the next second. */
  #mayStart(): boolean {
    const max = this.#limits.handshakesPerSecondMax;
    if (max === 0 || this.#started.take(max)) return true;
    this.#cancelNext ??= this.#deps.clock.after(this.#started.leftMs, () => {
      this.#cancelNext = undefined;
      this.#next();
    });
    return false;
  }

  #countRunning(address: string, by: number): void {
    this.#running += by;
    count(this.#runningOf, address, by);
  }
}

/** Adds to a number, and forgets it at 0. */
function count(numbers: Map<string, number>, address: string, by: number): void {
  const now = (numbers.get(address) ?? 0) + by;
  if (now <= 0) numbers.delete(address);
  else numbers.set(address, now);
}

interface Place extends HalfOpen {
  readonly candidate: HandshakeCandidate;
  state: 'silent' | 'waiting' | 'running' | 'released';
  /** Set while the handshake uses a slot. */
  cancel?: Cancel | undefined;
  /** It has used up the time of its slot, and is not complete. */
  isStalled?: boolean | undefined;
}
