/**
 * The TLS handshakes of the HTTP server, a few at a time.
 *
 * @module
 */
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { HandshakeTurns } from '../../core/handshake-turns.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';

export interface HttpHandshakesDeps {
  readonly clock: Clock;
  /** How long a connection may wait until its handshake begins. */
  readonly timeoutMs: number;
}

export class HttpHandshakes {
  readonly #deps: HttpHandshakesDeps;
  readonly #turns = new HandshakeTurns();
  /** The sockets whose handshake is not complete, by the address and port of the peer. */
  readonly #sockets = new Map<string, Socket>();

  constructor(server: Server, deps: HttpHandshakesDeps) {
    this.#deps = deps;
    // The first listener: others give the socket the address of the client behind a load balancer.
    server.prependListener('secureConnection', (socket) => this.#finished(peerOf(socket)));
  }

  /**
   * Returns a function that calls `begin` when the handshake of this new connection may start, and closes
   * the connection if that takes too long.
   */
  inTurn(socket: Socket, begin: () => void): () => void {
    const { clock, timeoutMs } = this.#deps;
    const key = peerOf(socket);
    return () => {
      const cancel = patientTimeout(clock, timeoutMs, () => socket.destroy());
      this.#sockets.set(key, socket);
      socket.once('close', () => {
        cancel();
        this.#finished(key);
      });
      this.#turns.add(socket, () => {
        cancel();
        begin();
      });
    };
  }

  #finished(key: string): void {
    const socket = this.#sockets.get(key);
    if (socket === undefined) return;
    this.#sockets.delete(key);
    this.#turns.finished(socket);
  }
}

/** The TLS socket and the TCP socket below it have the same peer. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0}`;
}
