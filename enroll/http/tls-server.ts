/**
 * The TLS server below the HTTP server, with its limits on time and connections.
 *
 * @module
 */
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { CanonicalResponse } from './canonical-response.ts';
import { problemMediaType, problemResponse } from './problem.ts';

/** What the server shows and trusts; replaced while it runs. */
export interface ServerCertificate {
  readonly key: string;
  readonly cert: string;
  readonly ca: readonly string[];
}

export interface TlsServerDeps {
  readonly config: Config;
  readonly log: Logger;
  readonly tls: ServerCertificate;
}

/** Creates a server that does not listen yet. */
export function createTlsServer(deps: TlsServerDeps, handler: RequestListener): Server {
  const { config, log, tls } = deps;
  const { enroll } = config.limits;
  const server = createServer(
    {
      ...secureContextOf(tls),
      requestCert: true,
      // The service verifies certificates itself, so that each refusal has a reason in the response and the log.
      rejectUnauthorized: false,
      handshakeTimeout: enroll.handshakeTimeoutMs,
      headersTimeout: enroll.headersTimeoutMs,
      requestTimeout: enroll.requestTimeoutMs,
      keepAliveTimeout: enroll.requestTimeoutMs,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 16 * 1024,
      ServerResponse: CanonicalResponse,
    },
    handler,
  );
  server.maxConnections = enroll.connectionsMax;
  const connections = new Map<string, number>();
  server.on('connection', (socket: Socket) =>
    countConnection(connections, socket, enroll.connectionsPerAddressMax),
  );
  server.on('tlsClientError', (error, socket) => {
    log.debug({ err: error, remoteAddress: socket.remoteAddress }, 'TLS handshake failed');
    socket.destroy();
  });
  return server;
}

/** Closes a connection of an address that has too many. */
function countConnection(connections: Map<string, number>, socket: Socket, max: number): void {
  const address = socket.remoteAddress ?? '';
  const count = (connections.get(address) ?? 0) + 1;
  if (count > max) {
    socket.destroy();
    return;
  }
  connections.set(address, count);
  socket.once('close', () => {
    const left = (connections.get(address) ?? 1) - 1;
    if (left === 0) connections.delete(address);
    else connections.set(address, left);
  });
}

/** The options of TLS. */
export function secureContextOf({ key, cert, ca }: ServerCertificate): {
  key: string;
  cert: string;
  ca: string[];
  minVersion: 'TLSv1.2';
} {
  return { key, cert, ca: [...ca], minVersion: 'TLSv1.2' };
}

/** Answers bytes that are not HTTP. */
export function refuseGarbage(error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem = JSON.stringify(
    problemResponse(
      new FlotillaError('request-invalid', { detail: messageOf(error).slice(0, 200) }),
    ),
  );
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: ${problemMediaType}\r\n` +
      `Content-Length: ${Buffer.byteLength(problem)}\r\n\r\n${problem}`,
  );
}
