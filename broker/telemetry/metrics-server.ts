/**
 * The metrics port: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever watches,
 * `/statusz` for people. Plain HTTP, on loopback unless told, and nothing that a client sends is believed.
 *
 * @module
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { listenError } from '../../core/errors/listen-error.ts';

/** One thing that is well or not. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface MetricsServerDeps {
  metrics(): Promise<string>;
  readonly metricsType: string;
  /** Whether the process works at all. */
  health(): readonly Check[];
  /** Whether it can do its job now. */
  readiness(): readonly Check[];
  /** All there is to say, for people. */
  status(): readonly Check[];
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
          answer(response, 405, 'text/plain', 'only GET\n');
        } else if (path === '/metrics') {
          deps.metrics().then(
            (text) => answer(response, 200, deps.metricsType, text),
            (error: unknown) => answer(response, 500, 'text/plain', `${messageOf(error)}\n`),
          );
        } else if (path === '/healthz') {
          checks(response, deps.health());
        } else if (path === '/readyz') {
          checks(response, deps.readiness());
        } else if (path === '/statusz') {
          checks(response, deps.status());
        } else {
          answer(response, 404, 'text/plain', 'there are /metrics, /healthz, /readyz, /statusz\n');
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

function checks(response: ServerResponse, all: readonly Check[]): void {
  const ok = all.every((check) => check.ok);
  answer(response, ok ? 200 : 503, 'application/json', `${JSON.stringify({ ok, checks: all })}\n`);
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
}
