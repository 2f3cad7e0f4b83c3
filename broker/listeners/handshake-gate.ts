/**
 * Limits TLS handshakes. A handshake costs a thousand times as much as a message. When a whole fleet
 * reconnects at once, the gate starts only as many handshakes as can be completed. The other connections
 * wait, with fair turns per address, and cost nothing when they disconnect while they wait.
 *
 * - Many handshakes run at a time while the event loop is idle, because then they wait for the network.
 *   Few run while it is busy, so that those that started complete before their clients time out.
 * - A handshake starts only after the first bytes of the client arrived. Silent connections never start.
 * - A handshake that stalls lets the next one start after a short time, and is closed by its timeout.
 * - The last quarter of the half-open connections is a reserve: an address that has admitted no device
 *   lately may have at most a sixteenth of what is left, so that a few addresses cannot exclude others.
 *   When all places are taken, the address with the most of them loses a silent one (half-open-table.ts).
 *   The /64 of an IPv6 address counts as one address.
 * - While the event loop is busy, an address that has admitted no device lately runs few handshakes at a
 *   time: an unidentified client chooses how much CPU time the verification of its certificate costs.
 * - Connections over a limit are closed at once, so that the device tries again later.
 *
 * @module
 */
import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { looksLikeProxyHeader } from '../../core/proxy-header.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import { SecondWindow } from '../../core/second-window.ts';
import { HalfOpenTable, type HalfOpen } from './half-open-table.ts';

export interface GateLimits {
  readonly handshakesRunningMax: number;
  readonly handshakesHalfOpenMax: number;
  readonly handshakesHalfOpenPerAddressMax: number;
  readonly handshakesPerSecondMax: number;
  readonly handshakesPerAddressPerSecondMax: number;
  readonly handshakeTimeoutMs: number;
}

/** Maximum handshakes at a time while the event loop is busy. */
const runningBusyMax = 64;
/** Those of one address that has admitted no device lately. */
const unknownBusyMax = 16;
/** After this time the next handshake may start, whether or not this one is complete. */
const slotMs = 100;
/** More than a ClientHello can contain. */
const helloMaxBytes = 16 * 1024;
/** Addresses whose rate is counted; beyond that, all counts start again. */
const windowsMax = 10_000;
/** Addresses with admitted devices that are remembered; beyond that, the oldest one is forgotten. */
const knownMax = 50_000;

interface Waiting {
  readonly socket: Socket;
  readonly address: string;
  readonly begin: () => void;
  readonly offeredAtMs: number;
  stop: () => void;
}

export interface GateDeps {
  readonly clock: Clock;
  /** Whether the event loop is busy. */
  readonly load: { readonly busy: boolean };
  /** A connection was refused before or during its handshake. */
  readonly events: {
    handshakeFailed(remoteAddress: string, code: ErrorCode, detail: string): void;
  };
}

export class HandshakeGate {
  readonly #limits: GateLimits;
  readonly #deps: GateDeps;
  /** Waiting connections per address. The first address is the next one to start a handshake. */
  readonly #queues = new Map<string, Set<Waiting>>();
  readonly #halfOpen: HalfOpenTable<Slot>;
  /** Running handshakes per address. */
  readonly #runningOf = new Map<string, number>();
  readonly #windows = new Map<string, SecondWindow>();
  /** Addresses from which devices were admitted, the latest last. */
  readonly #known = new Set<string>();
  #running = 0;
  #waiting = 0;
  readonly #started: SecondWindow;
  #cancelNext: Cancel | undefined;
  #closed = false;
  /** Handshakes that were not started because the client disconnected. */
  abandoned = 0;

  constructor(limits: GateLimits, deps: GateDeps) {
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

  /**
   * Accepts a raw connection, and calls `begin` when its handshake may start. The caller must call
   * {@link finished} when the handshake is complete, unless the socket closes.
   */
  offer(socket: Socket, begin: () => void): void {
    const address = addressPrefix(socket.remoteAddress ?? '');
    const code = this.#refusal(address);
    if (code !== undefined) {
      this.#refuse(socket, code);
      return;
    }
    const onClose = (): void => this.finished(socket);
    const sinceMs = this.#deps.clock.monotonicMs();
    const slot: Slot = { socket, source: address, sinceMs, running: false, onClose };
    slots.set(socket, slot);
    this.#halfOpen.add(slot);
    socket.on('close', onClose);
    this.#awaitHello(slot, begin);
  }

  /** A device was admitted from this address, which may use the reserve from now on. */
  admitted(remoteAddress: string): void {
    const address = addressPrefix(remoteAddress);
    this.#known.delete(address);
    this.#known.add(address);
    const [oldest] = this.#known;
    if (this.#known.size > knownMax && oldest !== undefined) this.#known.delete(oldest);
  }

  /** The handshake of this socket succeeded or failed. Idempotent. */
  finished(socket: Socket): void {
    const slot = slots.get(socket);
    if (slot === undefined) return;
    slots.delete(socket);
    // A connection can stay open for months, so it keeps nothing of its handshake.
    socket.off('close', slot.onClose);
    this.#halfOpen.remove(slot);
    this.#releaseSlot(slot);
  }

  close(): void {
    this.#closed = true;
    this.#cancelNext?.();
    for (const queue of this.#queues.values()) {
      for (const { socket, stop } of queue) {
        stop();
        socket.destroy();
      }
    }
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
      this.finished(room.socket);
      this.#refuse(room.socket, 'handshakes-too-many');
    }
    return undefined;
  }

  #refuse(socket: Socket, code: ErrorCode): void {
    this.#deps.events.handshakeFailed(socket.remoteAddress ?? '', code, '');
    socket.destroy();
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

  /** Waits for the first bytes, then adds the connection to the queue. */
  #awaitHello(slot: Slot, begin: () => void): void {
    const { socket, source: address } = slot;
    const chunks: Buffer[] = [];
    let bytes = 0;
    let waiting: Waiting | undefined;
    const { clock } = this.#deps;
    const cancel = patientTimeout(clock, this.#limits.handshakeTimeoutMs, () => {
      this.#deps.events.handshakeFailed(address, 'handshake-timeout', '');
      socket.destroy();
    });
    const onReadable = (): void => {
      for (let chunk = read(socket); chunk !== null; chunk = read(socket)) {
        chunks.push(chunk);
        bytes += chunk.length;
      }
      if (bytes > 0) this.#halfOpen.spoke(slot);
      const [first] = chunks;
      if (first !== undefined && looksLikeProxyHeader(first)) {
        this.#deps.events.handshakeFailed(address, 'proxy-header-refused', '');
        socket.destroy();
      } else if (bytes > helloMaxBytes) {
        this.#deps.events.handshakeFailed(address, 'handshake-failed', '');
        socket.destroy();
      } else if (bytes > 0 && waiting === undefined) {
        waiting = { socket, address, begin: start, stop, offeredAtMs: clock.monotonicMs() };
        this.#enqueue(waiting);
      }
    };
    const onGone = (): void => {
      stop();
      if (waiting !== undefined) this.abandoned++;
      this.#dequeue(waiting);
      socket.destroy();
    };
    const stop = (): void => {
      cancel();
      socket.off('readable', onReadable);
      socket.off('end', onGone);
      socket.off('close', onGone);
    };
    const start = (): void => {
      stop();
      if (bytes > 0) socket.unshift(Buffer.concat(chunks));
      begin();
    };
    socket.on('readable', onReadable);
    socket.once('end', onGone);
    socket.once('close', onGone);
  }

  #enqueue(waiting: Waiting): void {
    const queue = this.#queues.get(waiting.address);
    if (queue === undefined) this.#queues.set(waiting.address, new Set([waiting]));
    else queue.add(waiting);
    this.#waiting++;
    this.#next();
  }

  #dequeue(waiting: Waiting | undefined): void {
    const queue = waiting === undefined ? undefined : this.#queues.get(waiting.address);
    if (waiting === undefined || queue === undefined) return;
    if (!queue.delete(waiting)) return;
    this.#waiting--;
    if (queue.size === 0) this.#queues.delete(waiting.address);
  }

  /** Starts handshakes while the limits allow it, beginning with the address that waited longest. */
  #next(): void {
    while (!this.#closed && this.#running < this.#runningMax()) {
      const next = this.#nextQueue();
      if (next === undefined) return;
      if (!this.#mayStart()) return;
      const [address, queue] = next;
      const [waiting] = queue;
      // The address moves to the end, so that one address cannot use all handshakes.
      this.#queues.delete(address);
      if (waiting === undefined) continue;
      queue.delete(waiting);
      if (queue.size > 0) this.#queues.set(address, queue);
      this.#waiting--;
      this.#start(waiting);
    }
  }

  /** The first address that may run another handshake. The others run some, so there are few of them. */
  #nextQueue(): [string, Set<Waiting>] | undefined {
    for (const next of this.#queues) {
      const isLimited = this.#deps.load.busy && !this.#known.has(next[0]);
      if (!isLimited || (this.#runningOf.get(next[0]) ?? 0) < unknownBusyMax) return next;
    }
    return undefined;
  }

  #runningMax(): number {
    const max = this.#limits.handshakesRunningMax;
    return this.#running >= runningBusyMax && this.#deps.load.busy ? runningBusyMax : max;
  }

  #start(waiting: Waiting): void {
    const slot = slots.get(waiting.socket);
    if (slot === undefined || waiting.socket.destroyed) return;
    slot.running = true;
    this.#countRunning(slot.source, 1);
    slot.cancel = this.#deps.clock.after(slotMs, () => this.#releaseSlot(slot));
    waiting.begin();
  }

  #releaseSlot(slot: Slot): void {
    slot.cancel?.();
    if (!slot.running) return;
    slot.running = false;
    this.#countRunning(slot.source, -1);
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
    const own = (this.#runningOf.get(address) ?? 0) + by;
    if (own <= 0) this.#runningOf.delete(address);
    else this.#runningOf.set(address, own);
  }
}

interface Slot extends HalfOpen {
  readonly socket: Socket;
  running: boolean;
  readonly onClose: () => void;
  cancel?: Cancel;
}
const slots = new WeakMap<Socket, Slot>();

function read(socket: Socket): Buffer | null {
  // Without an encoding, a socket returns buffers. Its type does not express that.
  return socket.read() as Buffer | null;
}
