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
import { BinaryWebSocket } from './binary-web-socket.ts';
import { foreignOrigin } from './page-origin.ts';

export interface WebSocketUpgradeOptions {
  readonly packetMaxBytes: number;
  readonly upgradeTimeoutMs: number;
  /** Origins of web pages that may connect, in addition to the own one. */
  readonly origins: readonly string[];
}

/** What happens to one connection before it is a WebSocket. */
export interface UpgradeTarget {
  /** The upgrade is complete. Takes ownership of the stream. */
  upgraded(stream: Duplex): void;
  /** The request of this client was not a valid upgrade. The connection is closed. */
  refused(code: ErrorCode, detail: string): void;
  /** The connection closed without an upgrade. */
  closed(): void;
}

/**
 * [MQTT-6.0.0-3], [MQTT-6.0.0-4]: the subprotocol is `mqtt`. Clients from the time of MQTT 3.1 offer only
 * `mqttv3.1`.
 */
const subprotocols = ['mqtt', 'mqttv3.1'] as const;

/** How much of a refused origin is reported. */
const originShownMaxChars = 128;

/** The client closed the connection: this is not a refusal. */
const closedByClient: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'HPE_INVALID_EOF_STATE',
]);

export class WebSocketUpgrade {
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #targets = new WeakMap<Duplex, UpgradeTarget>();
  readonly #clock: Clock;
  readonly #upgradeTimeoutMs: number;
  readonly #origins: readonly string[];
  /** Connections that have not completed their upgrade, each with its timeout. */
  readonly #waiting = new Map<Duplex, Cancel>();

  constructor(options: WebSocketUpgradeOptions, clock: Clock) {
    this.#clock = clock;
    this.#upgradeTimeoutMs = options.upgradeTimeoutMs;
    this.#origins = options.origins;
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
  take(socket: TLSSocket, target: UpgradeTarget): void {
    this.#targets.set(socket, target);
    const cancel = patientTimeout(this.#clock, this.#upgradeTimeoutMs, () => {
      this.#report(socket, 'no upgrade to WebSocket', 'connect-timeout');
      socket.destroy();
    });
    this.#waiting.set(socket, cancel);
    socket.once('close', () => {
      if (this.#stopWaiting(socket)) target.closed();
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
    const origin = foreignOrigin(request.headers, this.#origins);
    if (origin !== undefined) {
      const detail = `Origin ${origin.slice(0, originShownMaxChars)}`;
      this.#refuse(socket, detail, 'websocket-origin-refused', '403 Forbidden');
      return;
    }
    const target = this.#targets.get(socket);
    // Not by an expression with repeated white space: its time grows with the square of the length.
    const offered = (request.headers['sec-websocket-protocol'] ?? '')
      .split(',')
      .map((name) => name.trim());
    if (target === undefined || !subprotocols.some((name) => offered.includes(name))) {
      this.#refuse(socket, 'without the subprotocol mqtt');
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#stopWaiting(socket);
      const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
      stream.on('error', () => undefined);
      target.upgraded(stream);
    });
  }

  /** @returns whether the upgrade of this connection was not complete */
  #stopWaiting(socket: Duplex): boolean {
    this.#waiting.get(socket)?.();
    return this.#waiting.delete(socket);
  }

  #refuse(
    socket: Duplex,
    detail: string,
    code: ErrorCode = 'websocket-invalid',
    status = '400 Bad Request',
  ): void {
    this.#report(socket, detail, code);
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
  }

  #report(socket: Duplex, detail: string, code: ErrorCode = 'websocket-invalid'): void {
    this.#targets.get(socket)?.refused(code, detail);
  }
}
