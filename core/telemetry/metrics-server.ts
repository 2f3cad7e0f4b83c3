/**
 * The metrics port: `/metrics` for Prometheus, `/healthz` and `/readyz` for supervisors and load
 * balancers, `/statusz` for operators. Plain HTTP, by default on loopback. Only the path of a request is
 * used.
 *
 * @module
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../errors/flotilla-error.ts';
import { listenError } from '../errors/listen-error.ts';

/** The result of one check. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface MetricsServerDeps {
  metrics(): Promise<string>;
  readonly metricsType: string;
  /** Whether the process works. */
  health(): readonly Check[];
  /** Whether clients can be served now. */
  readiness(): readonly Check[];
  /** All checks, for operators. */
  status(): readonly Check[] | Promise<readonly Check[]>;
}

export class MetricsServer {
  readonly #server: Server;

  constructor(deps: MetricsServerDeps) {
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 5000 },
      (request, response) => {
        const path = (request.url ?? '').split('?', 1)[0];
        request.resume();
        if (request.method !== 'GET' && request.method !== 'HEAD') {
          respond(response, 405, 'text/plain', 'Only GET is supported.\n');
        } else if (path === '/metrics') {
          deps.metrics().then(
            (text) => respond(response, 200, deps.metricsType, text),
            (error: unknown) => respond(response, 500, 'text/plain', `${messageOf(error)}\n`),
          );
        } else if (path === '/healthz') {
          respondChecks(response, deps.health());
        } else if (path === '/readyz') {
          respondChecks(response, deps.readiness());
        } else if (path === '/statusz') {
          Promise.resolve(deps.status()).then(
            (checks) => respondChecks(response, checks),
            (error: unknown) => respond(response, 500, 'text/plain', `${messageOf(error)}\n`),
          );
        } else {
          respond(
            response,
            404,
            'text/plain',
            'Available paths: /metrics, /healthz, /readyz, /statusz\n',
          );
        }
      },
    );
    this.#server.maxConnections = 64;
  }

  /** @throws FlotillaError `address-in-use`, `start-failed` */
  listen(host: string, port: number): Promise<{ url: string }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(host, port, error)));
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        if (address === null || typeof address === 'string') return;
        const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
        resolve({ url: `http://${shown}:${address.port}` });
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function respondChecks(response: ServerResponse, all: readonly Check[]): void {
  const ok = all.every((check) => check.ok);
  respond(response, ok ? 200 : 503, 'application/json', `${JSON.stringify({ ok, checks: all })}\n`);
}

function respond(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
}
