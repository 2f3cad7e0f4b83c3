/**
 * The TLS server below the HTTP server, with its limits on time and connections.
 *
 * @module
 */
import { ConnectionTable } from './connection-table.ts';
import { STATUS_CODES, type RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { noRenegotiation, serverTlsOptions, type ServerKeyPair } from '../../core/server-tls.ts';
import { ProxiedSockets } from '../../core/proxied-sockets.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import { CanonicalResponse } from './canonical-response.ts';
import { HttpHandshakes } from './http-handshakes.ts';
import { problemMediaType, problemResponse } from './problem.ts';
import type { RefusalLog } from './refusal-log.ts';

/** Warnings for each code; further ones are logged at the level debug. */
const refusalLinesPerMinute = 10;

/** What the server shows and trusts; replaced while it runs. */
export interface ServerCertificate {
  /** At most one for each type of key. */
  readonly pairs: readonly ServerKeyPair[];
  readonly ca: readonly string[];
}

export interface TlsServerDeps {
  readonly config: Config;
  readonly clock: Clock;
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
  const connections = new ConnectionTable(enroll);
  const proxied = readProxyHeaders(server, deps, connections);
  server.on('secureConnection', (socket) => {
    if (socket.authorized) connections.known(socket);
  });
  server.on('request', (request, response) => {
    response.once('close', connections.requested(request.socket));
  });
  server.on('tlsClientError', (error, socket) => {
    proxied.apply(socket);
    log.debug({ err: error, remoteAddress: socket.remoteAddress }, 'TLS handshake failed');
    socket.destroy();
  });
  return server;
}

/** Reads the headers of load balancers before the handshake, and counts the connections of each client. */
function readProxyHeaders(
  server: Server,
  { config, clock, log }: TlsServerDeps,
  connections: ConnectionTable,
): ProxiedSockets {
  const { handshakeTimeoutMs } = config.limits.enroll;
  const warnings = new RateLimiter(clock, refusalLinesPerMinute, 60_000);
  const proxied = new ProxiedSockets({
    // A reload replaces the list.
    networks: () => config.proxies,
    timeoutMs: handshakeTimeoutMs,
    clock,
    refused(remoteAddress, code, detail) {
      // Anybody can cause these lines.
      const level = warnings.take(code) === 0 ? 'warn' : 'debug';
      log[level]({ remoteAddress, code, detail }, 'connection refused before its handshake');
    },
  });
  // The listeners that Node.js itself added: they begin the handshake.
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const begin = handshakes.inTurn(socket, () => {
      for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    });
    // Until the handshake, nobody else handles the errors of the socket. The event `close` follows.
    socket.on('error', () => undefined);
    const hasRoom = (): boolean => connections.add(socket);
    if (proxied.isProxied(socket)) {
      proxied.accept(socket, () => {
        if (hasRoom()) begin();
      });
    } else if (hasRoom()) {
      proxied.accept(socket, begin);
    }
  });
  server.prependListener('secureConnection', (socket) => proxied.apply(socket));
  // After that, so that its listener is called before.
  const handshakes = new HttpHandshakes(server, { clock, timeoutMs: handshakeTimeoutMs });
  return proxied;
}

/** The options of TLS. */
export function secureContextOf({ pairs, ca }: ServerCertificate): {
  ca: string[];
  secureOptions: number;
} & ReturnType<typeof serverTlsOptions> {
  return { ...serverTlsOptions(...pairs), ca: [...ca], secureOptions: noRenegotiation };
}

/**
 * Answers what cannot be a request: bytes that are not HTTP, or a client certificate whose chain has a wrong
 * signature. OpenSSL reports the latter at the next read, with texts about its own sources.
 */
export function refuseGarbage(error: Error, socket: Socket, refusals: RefusalLog): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const fault = requestFault(error);
  const { http = 400 } = fault.spec;
  const remoteAddress = socket.remoteAddress ?? '';
  refusals.refused({ remoteAddress, code: fault.code, detail: fault.detail });
  const problem = JSON.stringify(problemResponse(fault));
  socket.end(
    `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ''}\r\nConnection: close\r\n` +
      `Content-Type: ${problemMediaType}\r\nContent-Length: ${Buffer.byteLength(problem)}\r\n\r\n${problem}`,
  );
}

function requestFault(error: Error): FlotillaError {
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_OSSL_')) {
    return new FlotillaError('client-certificate-untrusted', {
      detail: 'the signature of the certificate or of its chain is wrong',
    });
  }
  return new FlotillaError('request-invalid', { detail: messageOf(error).slice(0, 200) });
}
