/**
 * A TLS port: raw connections through the gate, the handshake, then admission. Whoever comes out has
 * an identity; nothing above TLS was read before.
 *
 * Certificates are asked for and verified, but not enforced, by OpenSSL (`rejectUnauthorized` is
 * off): so that admission decides, and each refusal has a reason in the log.
 *
 * @module
 */
import { createServer, type Server, type Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { listenError } from '../../core/errors/listen-error.ts';
import type { Admission, Refused } from '../admission/admission.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';
import type { Identity } from '../contracts/identity.ts';
import type { HandshakeGate } from './handshake-gate.ts';

export interface TlsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly alpn: readonly string[];
  readonly handshakeTimeoutMs: number;
  readonly connectionsMax: number;
}

/** What happens at the door, for log, events and metrics. */
export interface ListenerEvents {
  handshake(outcome: 'full' | 'resumed', durationMs: number): void;
  handshakeFailed(address: string, code: ErrorCode, detail: string): void;
  refused(address: string, refusal: Refused, tls: TlsSeen): void;
}

/** What can be said of a TLS connection that is refused. */
export interface TlsSeen {
  readonly version: string;
  readonly resumed: boolean;
}

export interface TlsListenerDeps {
  readonly clock: Clock;
  readonly gate: HandshakeGate;
  readonly events: ListenerEvents;
  /** Connections that are admitted and alive, over all listeners. */
  connectionCount(): number;
  admit(socket: TLSSocket): Admission;
  /** Takes over an admitted connection. */
  accept(socket: TLSSocket, identity: Identity): void;
}

export class TlsListener {
  readonly #options: TlsListenerOptions;
  readonly #deps: TlsListenerDeps;
  readonly #front: Server;
  readonly #tls: TlsServer;
  /** Raw sockets under handshake, by their peer's address and port. */
  readonly #shaking = new Map<string, { socket: Socket; sinceMs: number }>();
  readonly #sockets = new Set<Socket>();
  #closed: Promise<void> | undefined;

  constructor(options: TlsListenerOptions, material: TlsMaterial, deps: TlsListenerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tls = new TlsServer({ ...this.#tlsOptions(material), allowHalfOpen: false });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#failed(error, socket));
    this.#front = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 });
    this.#front.on('connection', (socket) => this.#accepted(socket));
  }

  /**
   * Begins to listen.
   *
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  listen(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#front.once('error', (error) => reject(listenError(host, port, error)));
      this.#front.listen({ host, port, backlog: 4096 }, () => {
        const address = this.#front.address();
        if (address === null || typeof address === 'string') return;
        this.#front.on('error', () => undefined);
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /**
   * Uses other certificates from now on. Live connections are not touched; tickets given out before
   * are void, since the ticket keys change with the context.
   *
   * @throws when OpenSSL does not take them; the old ones stay in use
   */
  replace(material: TlsMaterial): void {
    this.#tls.setSecureContext(this.#tlsOptions(material));
  }

  /** Takes no more connections; those that live go on. */
  stopListening(): void {
    this.#closed ??= new Promise((resolve) => {
      this.#front.close(() => resolve());
    });
  }

  /** Stops listening and ends every connection. */
  async close(): Promise<void> {
    this.stopListening();
    for (const socket of this.#sockets) socket.destroy();
    await this.#closed;
  }

  #tlsOptions(material: TlsMaterial): TlsOptions {
    const { alpn } = this.#options;
    return {
      key: material.key,
      cert: material.chain,
      ca: [...material.authorities],
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      // Not `ALPNProtocols`: of that list Node makes a buffer for each connection, each of which holds
      // on to a piece of a pool (measured: 2 KB a connection).
      ALPNCallback: ({ protocols }) => alpn.find((own) => protocols.includes(own)),
      handshakeTimeout: this.#options.handshakeTimeoutMs,
      // SSL_OP_NO_TICKET: without tickets there is no resumption, for Node keeps no session cache.
      secureOptions: material.sessionTickets ? 0 : 0x4000,
    };
  }

  #accepted(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', ignore);
    const key = peerOf(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#shaking.delete(key);
    });
    this.#deps.gate.offer(socket, () => {
      this.#shaking.set(key, { socket, sinceMs: this.#deps.clock.monotonicMs() });
      this.#tls.emit('connection', socket);
    });
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignore);
    const key = peerOf(socket);
    const shaking = this.#shaking.get(key);
    this.#shaking.delete(key);
    const { clock, gate, events } = this.#deps;
    if (shaking !== undefined) gate.finished(shaking.socket);
    const admission = this.#deps.admit(socket);
    const resumed = socket.isSessionReused();
    const durationMs = shaking === undefined ? 0 : clock.monotonicMs() - shaking.sinceMs;
    events.handshake(resumed ? 'resumed' : 'full', durationMs);
    if (!admission.admitted) {
      const seen = { version: socket.getProtocol() ?? '', resumed };
      events.refused(socket.remoteAddress ?? '', admission, seen);
      socket.destroy();
      return;
    }
    if (this.#deps.connectionCount() >= this.#options.connectionsMax) {
      const { id, serial, remoteAddress, tlsVersion } = admission.identity;
      events.refused(
        remoteAddress,
        { admitted: false, code: 'connections-too-many', detail: '', id, serial },
        { version: tlsVersion, resumed },
      );
      socket.destroy();
      return;
    }
    this.#deps.accept(socket, admission.identity);
  }

  #failed(error: Error, socket: TLSSocket): void {
    const code = 'code' in error ? String(error.code) : error.message;
    const found = failures.get(code) ?? 'handshake-failed';
    this.#deps.events.handshakeFailed(socket.remoteAddress ?? '', found, code);
    socket.destroy();
  }
}

const failures: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['ERR_TLS_HANDSHAKE_TIMEOUT', 'handshake-timeout'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'alpn-unsupported'],
]);

/** One for all: each connection has two sockets whose faults their end tells. */
function ignore(): void {
  // `close` follows.
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}
