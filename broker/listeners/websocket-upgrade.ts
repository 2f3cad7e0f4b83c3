/**
 * MQTT over WebSocket, on TLS connections that are already admitted ([MQTT-6.0.0-1] to
 * [MQTT-6.0.0-4]). HTTP is used only for the upgrade.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import type { Admitter } from '../admission/admitter.ts';
import type { Identity } from '../contracts/identity.ts';
import { BinaryWebSocket } from './binary-web-socket.ts';
import { StreamWire } from './stream-wire.ts';

export interface WebSocketUpgradeOptions {
  readonly packetMaxBytes: number;
  readonly upgradeTimeoutMs: number;
}

export interface UpgradeEvents {
  /** The request of this client was not a valid upgrade. */
  refused(identity: Identity, code: ErrorCode, detail: string): void;
}

export interface WebSocketUpgradeDeps {
  readonly clock: Clock;
  readonly admitter: Pick<Admitter, 'acceptUpgraded' | 'release'>;
  readonly events: UpgradeEvents;
}

/**
 * [MQTT-6.0.0-3], [MQTT-6.0.0-4]: the subprotocol is `mqtt`. Clients from the time of MQTT 3.1 offer only
 * `mqttv3.1`.
 */
const subprotocols = ['mqtt', 'mqttv3.1'] as const;

/** The client closed the connection: this is not a refusal. */
const closedByClient: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'HPE_INVALID_EOF_STATE',
]);

export class WebSocketUpgrade {
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #identities = new WeakMap<Duplex, Identity>();
  readonly #deps: WebSocketUpgradeDeps;
  readonly #upgradeTimeoutMs: number;
  /** Connections that have not completed their upgrade, each with its timeout. */
  readonly #waiting = new Map<Duplex, Cancel>();

  constructor(options: WebSocketUpgradeOptions, deps: WebSocketUpgradeDeps) {
    this.#deps = deps;
    this.#upgradeTimeoutMs = options.upgradeTimeoutMs;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      WebSocket: BinaryWebSocket,
      // A frame may contain many packets. The session layer limits the size of each packet.
      maxPayload: options.packetMaxBytes + 5,
      handleProtocols: (offered) => subprotocols.find((name) => offered.has(name)) ?? false,
    });
    this.#webSockets.on('wsClientError', (error, socket) => this.#refuse(socket, error.message));
    // The timeouts of this server apply only to connections that it accepted itself.
    this.#http = createServer();
    this.#http.maxHeadersCount = 64;
    this.#http.on('request', (request, response) => {
      this.#report(request.socket, `${request.method ?? ''} without an upgrade`);
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' });
      response.end('Upgrade Required\n');
    });
    this.#http.on('upgrade', (request, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(request, socket, head),
    );
    this.#http.on('clientError', (error, socket) => {
      const name = 'code' in error ? String(error.code) : error.message;
      if (!closedByClient.has(name)) this.#report(socket, name);
      socket.destroy();
    });
  }

  /** Takes ownership of an admitted TLS connection and waits for its upgrade. */
  take(socket: TLSSocket, identity: Identity): void {
    this.#identities.set(socket, identity);
    const cancel = patientTimeout(this.#deps.clock, this.#upgradeTimeoutMs, () => {
      this.#report(socket, 'no upgrade to WebSocket', 'connect-timeout');
      socket.destroy();
    });
    this.#waiting.set(socket, cancel);
    socket.once('close', () => {
      if (this.#stopWaiting(socket)) this.#deps.admitter.release();
    });
    this.#http.emit('connection', socket);
  }

  /** Closes the connections that have not completed their upgrade. */
  close(): void {
    this.#http.close();
    this.#http.closeAllConnections();
    this.#webSockets.close();
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const identity = this.#identities.get(socket);
    // Not by an expression with repeated white space: its time grows with the square of the length.
    const offered = (request.headers['sec-websocket-protocol'] ?? '')
      .split(',')
      .map((name) => name.trim());
    if (identity === undefined || !subprotocols.some((name) => offered.includes(name))) {
      this.#refuse(socket, 'without the subprotocol mqtt');
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#stopWaiting(socket);
      const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
      stream.on('error', () => undefined);
      this.#deps.admitter.acceptUpgraded(new StreamWire(stream), identity);
    });
  }

  /** @returns whether the upgrade of this connection was not complete */
  #stopWaiting(socket: Duplex): boolean {
    this.#waiting.get(socket)?.();
    return this.#waiting.delete(socket);
  }

  #refuse(socket: Duplex, detail: string): void {
    this.#report(socket, detail);
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  }

  #report(socket: Duplex, detail: string, code: ErrorCode = 'websocket-invalid'): void {
    const identity = this.#identities.get(socket);
    if (identity !== undefined) this.#deps.events.refused(identity, code, detail);
  }
}
