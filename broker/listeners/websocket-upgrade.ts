/**
 * MQTT over WebSocket, on connections that are admitted already ([MQTT-6.0.0-1] to [MQTT-6.0.0-4]).
 * HTTP is spoken for the upgrade alone.
 *
 * @module
 */
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Identity } from '../contracts/identity.ts';
import { BinaryWebSocket } from './binary-web-socket.ts';

export interface WebSocketUpgradeOptions {
  readonly packetMaxBytes: number;
  readonly upgradeTimeoutMs: number;
}

export interface WebSocketUpgradeDeps {
  readonly clock: Clock;
  /** Takes over what speaks WebSocket now. Some time has passed since admission. */
  accept(stream: Duplex, identity: Identity): void;
  /** What was no upgrade. */
  refused(identity: Identity, code: ErrorCode, detail: string): void;
}

/** The client hung up: nobody was refused. */
const hungUp: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'HPE_INVALID_EOF_STATE']);

export class WebSocketUpgrade {
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #identities = new WeakMap<Duplex, Identity>();
  readonly #deps: WebSocketUpgradeDeps;
  readonly #upgradeTimeoutMs: number;
  /** Connections whose upgrade has not come, each with its time limit. */
  readonly #waiting = new Map<Duplex, Cancel>();

  constructor(options: WebSocketUpgradeOptions, deps: WebSocketUpgradeDeps) {
    this.#deps = deps;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      WebSocket: BinaryWebSocket,
      // A frame may carry many packets; what is bounded is each packet, by the session layer.
      maxPayload: options.packetMaxBytes + 5,
      // [MQTT-6.0.0-3], [MQTT-6.0.0-4]: the subprotocol is "mqtt".
      handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
    });
    this.#sockets.on('wsClientError', (error, socket) => this.#refuse(socket, error.message));
    this.#upgradeTimeoutMs = options.upgradeTimeoutMs;
    // Its own time limits hold only for connections that it accepted itself.
    this.#http = createServer();
    this.#http.maxHeadersCount = 64;
    this.#http.on('request', (request, response) => {
      this.#tell(request.socket, `${request.method ?? ''} without an upgrade`);
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' });
      response.end('Upgrade Required\n');
    });
    this.#http.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      const identity = this.#identities.get(socket);
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/);
      if (identity === undefined || !offered.includes('mqtt')) {
        this.#refuse(socket, 'without the subprotocol mqtt');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#waiting.get(socket)?.();
        this.#waiting.delete(socket);
        const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
        stream.on('error', () => undefined);
        this.#deps.accept(stream, identity);
      });
    });
    this.#http.on('clientError', (error, socket) => {
      const code = 'code' in error ? String(error.code) : error.message;
      if (!hungUp.has(code)) this.#tell(socket, code);
      socket.destroy();
    });
  }

  /** Connections whose upgrade has not come. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes an admitted TLS connection. */
  take(socket: TLSSocket, identity: Identity): void {
    this.#identities.set(socket, identity);
    const cancel = this.#deps.clock.after(this.#upgradeTimeoutMs, () => {
      this.#tell(socket, 'no upgrade to WebSocket', 'connect-timeout');
      socket.destroy();
    });
    this.#waiting.set(socket, cancel);
    socket.once('close', () => {
      cancel();
      this.#waiting.delete(socket);
    });
    this.#http.emit('connection', socket);
  }

  close(): void {
    this.#http.close();
    this.#http.closeAllConnections();
    this.#sockets.close();
  }

  #refuse(socket: Duplex, detail: string): void {
    this.#tell(socket, detail);
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  }

  #tell(socket: Duplex, detail: string, code: ErrorCode = 'websocket-invalid'): void {
    const identity = this.#identities.get(socket);
    if (identity !== undefined) this.#deps.refused(identity, code, detail);
  }
}
