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
import type { Identity } from '../identity.ts';

export interface WebSocketDoorOptions {
  readonly packetMaxBytes: number;
  readonly upgradeTimeoutMs: number;
}

export class WebSocketDoor {
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #identities = new WeakMap<Duplex, Identity>();
  readonly #accept: (stream: Duplex, identity: Identity) => void;

  constructor(options: WebSocketDoorOptions, accept: (stream: Duplex, identity: Identity) => void) {
    this.#accept = accept;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // A frame may carry many packets; what is bounded is each packet, by the session layer.
      maxPayload: options.packetMaxBytes + 5,
      // [MQTT-6.0.0-3], [MQTT-6.0.0-4]: the subprotocol is "mqtt".
      handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
    });
    this.#http = createServer({
      headersTimeout: options.upgradeTimeoutMs,
      requestTimeout: options.upgradeTimeoutMs,
      connectionsCheckingInterval: Math.min(options.upgradeTimeoutMs, 5000),
    });
    this.#http.maxHeadersCount = 64;
    this.#http.on('request', (_request, response) => {
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' });
      response.end('Upgrade Required\n');
    });
    this.#http.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      const identity = this.#identities.get(socket);
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/);
      if (identity === undefined || !offered.includes('mqtt')) {
        socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
        stream.on('error', () => undefined);
        this.#accept(stream, identity);
      });
    });
    this.#http.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Takes an admitted TLS connection. */
  take(socket: TLSSocket, identity: Identity): void {
    this.#identities.set(socket, identity);
    this.#http.emit('connection', socket);
  }

  close(): void {
    this.#http.close();
    this.#http.closeAllConnections();
    this.#sockets.close();
  }
}
