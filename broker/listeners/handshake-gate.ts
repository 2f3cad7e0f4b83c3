/**
 * The gate before TLS. A handshake costs a thousand times what a message costs, so when a whole
 * fleet comes back at once, only as many are begun as can be finished; the others wait their turn,
 * fairly by address, and cost nothing when they give up while they wait.
 *
 * - How many are worked on at once: many while there is time to spare, for then it is the network that
 *   takes long; few when the event loop is busy, so that those begun end before their clients give up.
 * - A connection gets a turn only after its first bytes came: silent ones never take one.
 * - A handshake that stalls gives its turn back after a moment, and is ended by its time limit.
 * - What is too much for the queue is closed at once, so that the device tries again later.
 *
 * @module
 */
import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { SecondWindow } from '../../core/second-window.ts';

export interface GateLimits {
  readonly handshakesRunningMax: number;
  readonly handshakesHalfOpenMax: number;
  readonly handshakesHalfOpenPerAddressMax: number;
  readonly handshakesPerSecondMax: number;
  readonly handshakesPerAddressPerSecondMax: number;
  readonly handshakeTimeoutMs: number;
}

/** So many at once when the event loop is busy. */
const runningBusyMax = 64;
/** A turn is given back after this time, whether the handshake is done or not. */
const turnMs = 100;
/** More than a ClientHello can have: such a client is not waiting for its turn. */
const helloMaxBytes = 16 * 1024;
/** Addresses whose rate is counted; beyond that, all counts start again. */
const windowsMax = 10_000;

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
  /** Addresses in the order of their turns; each has its own line. */
  readonly #lines = new Map<string, Waiting[]>();
  readonly #halfOpen = new Map<string, number>();
  readonly #windows = new Map<string, SecondWindow>();
  #halfOpenAll = 0;
  #running = 0;
  #waiting = 0;
  readonly #begun: SecondWindow;
  #later: Cancel | undefined;
  #closed = false;
  /** Handshakes not begun because the client had given up. */
  abandoned = 0;

  constructor(limits: GateLimits, deps: GateDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#begun = new SecondWindow(deps.clock);
  }

  get waiting(): number {
    return this.#waiting;
  }

  get running(): number {
    return this.#running;
  }

  /** Accepted connections whose handshake is not done. */
  get halfOpen(): number {
    return this.#halfOpenAll;
  }

  /**
   * Takes a raw connection; calls `begin` when its turn has come. The caller says
   * {@link finished} when the handshake is done; a socket that closes is let go by itself.
   */
  offer(socket: Socket, begin: () => void): void {
    const address = socket.remoteAddress ?? '';
    const code = this.#refusal(address);
    if (code !== undefined) {
      this.#deps.events.handshakeFailed(address, code, '');
      socket.destroy();
      return;
    }
    this.#count(address, 1);
    const gone = (): void => this.finished(socket);
    turns.set(socket, { address, running: false, gone });
    socket.on('close', gone);
    this.#awaitHello(socket, address, begin);
  }

  /** The handshake of this socket is over, well or ill. Idempotent. */
  finished(socket: Socket): void {
    const turn = turns.get(socket);
    if (turn === undefined) return;
    turns.delete(socket);
    // Nothing of the handshake stays with a connection that lives for months.
    socket.off('close', turn.gone);
    this.#count(turn.address, -1);
    this.#giveBack(turn);
  }

  close(): void {
    this.#closed = true;
    this.#later?.();
    for (const line of this.#lines.values()) {
      for (const { socket, stop } of line) {
        stop();
        socket.destroy();
      }
    }
    this.#lines.clear();
  }

  #refusal(address: string): ErrorCode | undefined {
    const { handshakesHalfOpenMax, handshakesHalfOpenPerAddressMax } = this.#limits;
    if (this.#closed) return 'server-shutting-down';
    const own = this.#halfOpen.get(address) ?? 0;
    if (
      this.#halfOpenAll >= handshakesHalfOpenMax ||
      own >= handshakesHalfOpenPerAddressMax ||
      this.#tooFast(address)
    ) {
      return 'handshakes-too-many';
    }
    return undefined;
  }

  #tooFast(address: string): boolean {
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

  /** Reads the first bytes and keeps them, then puts the connection in line. */
  #awaitHello(socket: Socket, address: string, begin: () => void): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let waiting: Waiting | undefined;
    const { clock } = this.#deps;
    const cancel = clock.after(this.#limits.handshakeTimeoutMs, () => {
      this.#deps.events.handshakeFailed(address, 'handshake-timeout', '');
      socket.destroy();
    });
    const onReadable = (): void => {
      for (let chunk = read(socket); chunk !== null; chunk = read(socket)) {
        chunks.push(chunk);
        bytes += chunk.length;
      }
      if (bytes > helloMaxBytes) {
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
    const line = this.#lines.get(waiting.address);
    if (line === undefined) this.#lines.set(waiting.address, [waiting]);
    else line.push(waiting);
    this.#waiting++;
    this.#next();
  }

  #dequeue(waiting: Waiting | undefined): void {
    const line = waiting === undefined ? undefined : this.#lines.get(waiting.address);
    if (waiting === undefined || line === undefined) return;
    const at = line.indexOf(waiting);
    if (at === -1) return;
    line.splice(at, 1);
    this.#waiting--;
    if (line.length === 0) this.#lines.delete(waiting.address);
  }

  /** Gives turns as long as there are any: the address that waits longest comes first. */
  #next(): void {
    while (!this.#closed && this.#running < this.#runningMax()) {
      const [first] = this.#lines;
      if (first === undefined) return;
      if (!this.#mayBegin()) return;
      const [address, line] = first;
      const waiting = line.shift();
      // To the back of the turns, so that one address cannot take them all.
      this.#lines.delete(address);
      if (line.length > 0) this.#lines.set(address, line);
      if (waiting === undefined) continue;
      this.#waiting--;
      this.#begin(waiting);
    }
  }

  #runningMax(): number {
    const max = this.#limits.handshakesRunningMax;
    return this.#running >= runningBusyMax && this.#deps.load.busy ? runningBusyMax : max;
  }

  #begin(waiting: Waiting): void {
    const turn = turns.get(waiting.socket);
    if (turn === undefined || waiting.socket.destroyed) return;
    turn.running = true;
    this.#running++;
    turn.cancel = this.#deps.clock.after(turnMs, () => this.#giveBack(turn));
    waiting.begin();
  }

  #giveBack(turn: Turn): void {
    turn.cancel?.();
    if (!turn.running) return;
    turn.running = false;
    this.#running--;
    this.#next();
  }

  /** Holds the rate of handshakes in all; comes back in the next second when it is used up. */
  #mayBegin(): boolean {
    const max = this.#limits.handshakesPerSecondMax;
    if (max === 0 || this.#begun.take(max)) return true;
    this.#later ??= this.#deps.clock.after(this.#begun.leftMs, () => {
      this.#later = undefined;
      this.#next();
    });
    return false;
  }

  #count(address: string, by: number): void {
    this.#halfOpenAll += by;
    const own = (this.#halfOpen.get(address) ?? 0) + by;
    if (own <= 0) this.#halfOpen.delete(address);
    else this.#halfOpen.set(address, own);
  }
}

interface Turn {
  readonly address: string;
  running: boolean;
  readonly gone: () => void;
  cancel?: Cancel;
}
const turns = new WeakMap<Socket, Turn>();

function read(socket: Socket): Buffer | null {
  // Without an encoding a socket gives buffers; its type cannot say so.
  return socket.read() as Buffer | null;
}
