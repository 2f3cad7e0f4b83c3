/**
 * The raw connections of one thread before their TLS handshake. A handshake is requested only after the
 * first bytes of the client arrived, so silent connections never start one, and it has a timeout.
 * `handshake-quota.ts` decides which of them may start, over all threads, and `core/handshake-turns.ts`
 * bounds the work on them in one turn of the event loop.
 *
 * @module
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { HandshakeTurns } from '../../core/handshake-turns.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import { looksLikeProxyHeader } from '../../core/proxy-header.ts';
import type { HandshakePlaces, HandshakeTicket } from './handshake-quota.ts';

/** More than a ClientHello can contain. */
const helloMaxBytes = 16 * 1024;

export interface GateDeps {
  readonly clock: Clock;
  readonly places: HandshakePlaces;
  readonly handshakeTimeoutMs: number;
  /** A connection was refused before or during its handshake. */
  readonly events: {
    handshakeFailed(remoteAddress: string, code: ErrorCode, detail: string): void;
  };
}

interface Opening {
  readonly ticket: HandshakeTicket;
  readonly onClose: () => void;
}

export class HandshakeGate {
  readonly #deps: GateDeps;
  readonly #openings = new WeakMap<Socket, Opening>();
  /** The sockets whose handshake has not started. */
  readonly #waiting = new Set<Socket>();
  readonly #turns = new HandshakeTurns();

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  /**
   * Accepts a raw connection, and calls `begin` when its handshake may start. The caller must call
   * {@link finished} when the handshake is complete, unless the socket closes.
   */
  offer(socket: Socket, begin: () => void): void {
    const hello = new Hello(socket);
    const ticket = this.#deps.places.offer(socket.remoteAddress ?? '', {
      begin: () => {
        if (socket.destroyed) return;
        this.#turns.add(socket, () => {
          this.#waiting.delete(socket);
          hello.restore();
          begin();
        });
      },
      refuse: (code) => {
        hello.stop();
        if (code !== undefined) this.#fail(socket, socket.remoteAddress ?? '', code);
        else socket.destroy();
      },
    });
    if (ticket === undefined) return;
    const onClose = (): void => this.finished(socket);
    this.#openings.set(socket, { ticket, onClose });
    this.#waiting.add(socket);
    socket.on('close', onClose);
    this.#awaitHello(socket, hello, ticket);
  }

  /** The handshake of this socket succeeded or failed. Idempotent. */
  finished(socket: Socket): void {
    this.#turns.finished(socket);
    this.#waiting.delete(socket);
    const opening = this.#openings.get(socket);
    if (opening === undefined) return;
    this.#openings.delete(socket);
    // A connection can stay open for months, so it keeps nothing of its handshake.
    socket.off('close', opening.onClose);
    opening.ticket.release();
  }

  /** Closes the connections whose handshake has not started. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
  }

  /** Waits for the first bytes, then asks for the handshake. */
  #awaitHello(socket: Socket, hello: Hello, ticket: HandshakeTicket): void {
    const { clock, handshakeTimeoutMs } = this.#deps;
    const address = addressPrefix(socket.remoteAddress ?? '');
    const cancel = patientTimeout(clock, handshakeTimeoutMs, () =>
      this.#fail(socket, address, 'handshake-timeout'),
    );
    hello.start({
      stopped: cancel,
      arrived: (first) => {
        if (looksLikeProxyHeader(first)) this.#fail(socket, address, 'proxy-header-refused');
        else ticket.ready();
      },
      tooLong: () => this.#fail(socket, address, 'handshake-failed'),
      gone: () => {
        this.finished(socket);
        socket.destroy();
      },
    });
  }

  #fail(socket: Socket, address: string, code: ErrorCode): void {
    this.#deps.events.handshakeFailed(address, code, '');
    socket.destroy();
  }
}

interface HelloEvents {
  /** The first bytes are there. Called once. */
  arrived(first: Buffer): void;
  tooLong(): void;
  /** The client disconnected. */
  gone(): void;
  /** Nothing is waited for any more. */
  stopped(): void;
}

/** Reads the first bytes of a socket and puts them back before the handshake. */
class Hello {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #events: HelloEvents | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  start(events: HelloEvents): void {
    this.#events = events;
    this.#socket.on('readable', this.#onReadable);
    this.#socket.once('end', this.#onGone);
    this.#socket.once('close', this.#onGone);
  }

  stop(): void {
    this.#events?.stopped();
    this.#events = undefined;
    this.#socket.off('readable', this.#onReadable);
    this.#socket.off('end', this.#onGone);
    this.#socket.off('close', this.#onGone);
  }

  /** Stops, and puts the bytes back: the TLS handshake reads them. */
  restore(): void {
    this.stop();
    if (this.#bytes > 0) this.#socket.unshift(Buffer.concat(this.#chunks));
  }

  readonly #onReadable = (): void => {
    const had = this.#bytes;
    for (let chunk = read(this.#socket); chunk !== null; chunk = read(this.#socket)) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
    }
    const [first] = this.#chunks;
    if (this.#bytes > helloMaxBytes) this.#events?.tooLong();
    else if (had === 0 && first !== undefined) this.#events?.arrived(first);
  };

  readonly #onGone = (): void => {
    const events = this.#events;
    this.stop();
    events?.gone();
  };
}

function read(socket: Socket): Buffer | null {
  // Without an encoding, a socket returns buffers. Its type does not express that.
  return socket.read() as Buffer | null;
}
