/**
 * A TLS port. Raw connections pass the handshake gate and complete the TLS handshake. Then admission
 * decides about them. Nothing above TLS is read before that.
 *
 * OpenSSL requests and verifies client certificates but does not enforce the result
 * (`rejectUnauthorized` is off), so that admission decides and every refusal has a reason.
 *
 * @module
 */
import { createServer, type Server, type Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { listenError } from '../../core/errors/listen-error.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import { ProxiedSockets } from '../../core/proxied-sockets.ts';
import { noRenegotiation, serverTlsOptions } from '../../core/server-tls.ts';
import { keyPairsOf, type TlsMaterial } from '../certificates/tls-material.ts';
import type { HandshakeGate } from './handshake-gate.ts';

export interface TlsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly alpn: readonly string[];
  readonly handshakeTimeoutMs: number;
  /** Whether other threads listen on the same port; the kernel distributes the connections. */
  readonly reusePort: boolean;
}

/** A complete handshake. */
export interface Handshake {
  readonly resumed: boolean;
  readonly durationMs: number;
}

export interface ListenerEvents {
  handshakeFailed(remoteAddress: string, code: ErrorCode, detail: string): void;
}

export interface TlsListenerDeps {
  readonly clock: Clock;
  readonly gate: HandshakeGate;
  readonly events: ListenerEvents;
  /** Networks of load balancers that send the PROXY protocol. */
  readonly proxies: () => readonly string[];
  /** Takes ownership of a connection whose handshake is complete. */
  secured(socket: TLSSocket, handshake: Handshake): void;
}

/** Longer than any timeout of this file. */
const nodeTimeoutMs = 3_600_000;
/** SSL_OP_NO_TICKET. Without tickets there is no resumption, because Node keeps no session cache. */
const noTicket = 0x4000;

export class TlsListener {
  readonly #options: TlsListenerOptions;
  readonly #deps: TlsListenerDeps;
  readonly #tcpServer: Server;
  readonly #tlsServer: TlsServer;
  /** Raw sockets during their handshake, by the address and port of the peer. */
  readonly #handshaking = new Map<string, RunningHandshake>();
  /** Handshakes that were closed by their timeout. Each is about to be reported as reset, too. */
  #timedOut = 0;
  readonly #sockets = new Set<Socket>();
  readonly #proxied: ProxiedSockets;
  #closed: Promise<void> | undefined;

  constructor(options: TlsListenerOptions, material: TlsMaterial, deps: TlsListenerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#proxied = new ProxiedSockets({
      networks: () => deps.proxies(),
      timeoutMs: options.handshakeTimeoutMs,
      clock: deps.clock,
      refused: (...refusal) => deps.events.handshakeFailed(...refusal),
    });
    this.#tlsServer = new TlsServer({ ...this.#tlsOptions(material), allowHalfOpen: false });
    this.#tlsServer.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#tlsServer.on('tlsClientError', (error, socket) => this.#onFailed(error, socket));
    this.#tcpServer = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    this.#tcpServer.on('connection', (socket) => this.#onConnection(socket));
  }

  /**
   * Starts to listen.
   *
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  listen(): Promise<{ host: string; port: number }> {
    const { host, port, reusePort } = this.#options;
    return new Promise((resolve, reject) => {
      this.#tcpServer.once('error', (error) => reject(listenError(host, port, error)));
      this.#tcpServer.listen({ host, port, reusePort, backlog: 4096 }, () => {
        const address = this.#tcpServer.address();
        if (address === null || typeof address === 'string') return;
        this.#tcpServer.on('error', () => undefined);
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /**
   * Uses other certificates for new connections. Live connections are not affected. Session tickets
   * that were issued before become invalid, because the ticket keys change with the context.
   *
   * @throws when OpenSSL rejects the certificates; the previous ones stay in use
   */
  replaceMaterial(material: TlsMaterial): void {
    this.#tlsServer.setSecureContext(this.#tlsOptions(material));
  }

  /** Accepts no more connections. Live connections continue. */
  stopListening(): void {
    this.#closed ??= new Promise((resolve) => {
      this.#tcpServer.close(() => resolve());
    });
  }

  /** Stops listening and closes every connection. */
  async close(): Promise<void> {
    this.stopListening();
    for (const socket of this.#sockets) socket.destroy();
    await this.#closed;
  }

  #tlsOptions(material: TlsMaterial): TlsOptions {
    const { alpn } = this.#options;
    return {
      ...serverTlsOptions(...keyPairsOf(material)),
      ca: [...material.authorities],
      requestCert: true,
      rejectUnauthorized: false,
      // Not `ALPNProtocols`: Node copies that list into a buffer for each connection, and each copy
      // keeps a part of a buffer pool alive (measured: 2 KB per connection).
      ALPNCallback: ({ protocols }) => alpn.find((own) => protocols.includes(own)),
      // Node's own timeout does not know of pauses of the process: {@link TlsListener.#begin} has another one.
      handshakeTimeout: nodeTimeoutMs,
      ...(material.ticketKeys === undefined
        ? {}
        : { ticketKeys: Buffer.from(material.ticketKeys) }),
      // Node's default depends on the command line, and nodes of a cluster resume each other's sessions.
      sessionIdContext: 'flotilla',
      secureOptions: noRenegotiation | (material.sessionTickets ? 0 : noTicket),
    };
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', ignoreError);
    const key = peerOf(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#ended(key);
    });
    const offer = (): void => {
      this.#deps.gate.offer(socket, () => this.#begin(socket, key));
    };
    if (this.#proxied.isProxied(socket)) this.#proxied.accept(socket, offer);
    else offer();
  }

  #begin(socket: Socket, key: string): void {
    const { clock, events } = this.#deps;
    const cancel = patientTimeout(clock, this.#options.handshakeTimeoutMs, () => {
      events.handshakeFailed(socket.remoteAddress ?? '', 'handshake-timeout', '');
      this.#timedOut++;
      socket.destroy();
    });
    this.#handshaking.set(key, { socket, sinceMs: clock.monotonicMs(), cancel });
    this.#tlsServer.emit('connection', socket);
  }

  /** @returns the handshake of this peer, which is over; undefined if there was none */
  #ended(key: string): RunningHandshake | undefined {
    const handshake = this.#handshaking.get(key);
    this.#handshaking.delete(key);
    handshake?.cancel();
    return handshake;
  }

  #onSecure(socket: TLSSocket): void {
    socket.on('error', ignoreError);
    const { clock, gate } = this.#deps;
    const handshake = this.#ended(peerOf(socket));
    if (handshake !== undefined) gate.finished(handshake.socket);
    this.#proxied.apply(socket);
    const durationMs = handshake === undefined ? 0 : clock.monotonicMs() - handshake.sinceMs;
    this.#deps.secured(socket, { resumed: socket.isSessionReused(), durationMs });
  }

  #onFailed(error: Error, socket: TLSSocket): void {
    this.#ended(peerOf(socket));
    const name = 'code' in error ? String(error.code) : error.message;
    if (name === 'ECONNRESET' && this.#timedOut > 0) {
      this.#timedOut--;
      socket.destroy();
      return;
    }
    const code = failureCodes.get(name) ?? 'handshake-failed';
    this.#proxied.apply(socket);
    this.#deps.events.handshakeFailed(socket.remoteAddress ?? '', code, name);
    socket.destroy();
  }
}

interface RunningHandshake {
  readonly socket: Socket;
  readonly sinceMs: number;
  /** Ends its timeout. */
  readonly cancel: Cancel;
}

const failureCodes: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'alpn-unsupported'],
]);

/** One function for all sockets, to save memory: each connection has two sockets. */
function ignoreError(): void {
  // The event `close` follows.
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}
