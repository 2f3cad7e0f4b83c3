/**
 * The loopback proxy of `flotilla console`: a browser on this machine uses the API and the pages of the
 * enrollment service with the administrator's certificate, which never enters the browser.
 *
 * Other users of this machine can reach the port, and other sites can make the browser send requests to it.
 * So a request counts only with the cookie that the one-time URL gave this browser, with our own name in
 * `Host` (a rebound name has another), and without a foreign `Origin`.
 *
 * @module
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { openHttps, type Call } from '../../core/protocol/https-client.ts';

export interface ConsoleProxyOptions {
  /** The enrollment service. */
  readonly url: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** 0: any free one. */
  readonly port: number;
  /** How long the one-time URL can be used, in ms. */
  readonly linkTtlMs: number;
  now(): number;
}

export interface ConsoleProxy {
  /** Signs one browser in. */
  readonly url: string;
  readonly expiresAtMs: number;
  close(): Promise<void>;
}

const cookieName = 'flotilla-console';
const bodyMaxBytes = 64 * 1024 * 1024;
/** Between two pieces of a response; a stream of events sends something every 15 s. */
const silenceTimeoutMs = 60_000;
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** Headers of requests that the service needs. Others, cookies among them, stay here. */
const forwarded = [
  'accept',
  'content-type',
  'if-match',
  'if-none-match',
  'idempotency-key',
  'last-event-id',
];
/** Headers of responses that are about the connection to the service, or could replace our cookie. */
const withheld = new Set(['connection', 'keep-alive', 'set-cookie', 'transfer-encoding']);

/** Listens on the loopback address. @throws FlotillaError `start-failed` */
export async function startConsoleProxy(options: ConsoleProxyOptions): Promise<ConsoleProxy> {
  const proxy = new Proxy(options);
  const server = createServer((request, response) => void proxy.handle(request, response));
  await listening(server, options.port);
  const { port } = server.address() as AddressInfo;
  proxy.port = port;
  return {
    url: `http://127.0.0.1:${port}/sign-in?token=${proxy.linkToken}`,
    expiresAtMs: proxy.linkEndsAtMs,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

class Proxy {
  port = 0;
  readonly linkToken = secret();
  readonly linkEndsAtMs: number;
  readonly #options: ConsoleProxyOptions;
  #linkUsed = false;
  /** Undefined before sign-in and after sign-out. */
  #session: string | undefined;

  constructor(options: ConsoleProxyOptions) {
    this.#options = options;
    this.linkEndsAtMs = options.now() + options.linkTtlMs;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
      this.#assertOwnHost(request);
      if (pathname === '/sign-in' && request.method === 'GET') {
        this.#signIn(searchParams.get('token') ?? '', response);
        return;
      }
      this.#assertSession(request);
      if (pathname === '/') {
        response.writeHead(302, { location: '/console/' }).end();
      } else if (pathname === '/v1/session' && request.method === 'DELETE') {
        this.#session = undefined;
        response.writeHead(204, { 'set-cookie': cookie('', 0) }).end();
      } else if (pathname.startsWith('/v1/') || pathname.startsWith('/console/')) {
        await this.#forward(request, response);
      } else throw new FlotillaError('not-found', { detail: pathname.slice(0, 200) });
    } catch (error) {
      sendProblem(response, error);
    }
  }

  #signIn(token: string, response: ServerResponse): void {
    const isGood =
      !this.#linkUsed && this.#options.now() < this.linkEndsAtMs && equal(token, this.linkToken);
    if (!isGood) throw new FlotillaError('sign-in-link-invalid');
    this.#linkUsed = true;
    this.#session = secret();
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'set-cookie': cookie(this.#session),
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
    });
    // Not a redirect: a strict cookie is not sent when the navigation began elsewhere.
    response.end(
      '<!doctype html><meta charset="utf-8"><title>Flotilla</title><meta http-equiv="refresh" content="0;url=/console/"><p>Signed in. <a href="/console/">Continue</a>.</p>\n',
    );
  }

  /** @throws FlotillaError `request-origin-refused` for a name that leads here but is not ours */
  #assertOwnHost({ headers }: IncomingMessage): void {
    const own = [`127.0.0.1:${this.port}`, `localhost:${this.port}`];
    const { host = '', origin } = headers;
    if (!own.includes(host)) throw new FlotillaError('request-origin-refused', { detail: 'Host' });
    if (origin !== undefined && origin !== `http://${host}`) {
      throw new FlotillaError('request-origin-refused', { detail: 'Origin' });
    }
  }

  #assertSession({ headers, method }: IncomingMessage): void {
    const given = new RegExp(`(?:^|; *)${cookieName}=([\\w-]+)`).exec(headers.cookie ?? '')?.[1];
    if (this.#session === undefined || given === undefined || !equal(given, this.#session)) {
      throw new FlotillaError('sign-in-required');
    }
    // Browsers send Origin with every request that changes something.
    if (method !== 'GET' && headers.origin === undefined) {
      throw new FlotillaError('request-origin-refused', { detail: 'Origin' });
    }
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = methods.find((one) => one === request.method);
    if (method === undefined)
      throw new FlotillaError('not-found', { detail: request.method ?? '' });
    const { url, ca, cert, key } = this.#options;
    const body = await readBody(request);
    const call: Call = {
      method,
      url: url + (request.url ?? '/'),
      ca,
      cert,
      key,
      headers: pick(request),
      timeoutMs: silenceTimeoutMs,
      ...(body.length === 0 ? {} : { body }),
    };
    const answer = await openHttps(call);
    // The browser may have gone meanwhile.
    response.once('close', () => answer.destroy());
    if (response.destroyed) {
      answer.destroy();
      return;
    }
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !withheld.has(name)) response.setHeader(name, value);
    }
    response.writeHead(answer.statusCode ?? 502);
    response.flushHeaders();
    answer.on('error', () => response.destroy());
    answer.pipe(response);
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new FlotillaError('start-failed', { detail: `127.0.0.1:${port}`, cause: error })),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyMaxBytes) throw new FlotillaError('request-too-large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function pick({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    forwarded.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

function sendProblem(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const known = isFlotillaError(error) ? error : new FlotillaError('internal', { cause: error });
  const { title, advice, http = 502 } = known.spec;
  const problem = {
    type: `urn:flotilla:error:${known.code}`,
    title,
    status: http,
    ...(known.detail === undefined ? {} : { detail: known.detail }),
    code: known.code,
    advice,
  };
  response.writeHead(http, { 'content-type': 'application/problem+json', connection: 'close' });
  response.end(JSON.stringify(problem));
}

function cookie(value: string, maxAgeSeconds?: number): string {
  const age = maxAgeSeconds === undefined ? '' : `; Max-Age=${maxAgeSeconds}`;
  return `${cookieName}=${value}; Path=/${age}; HttpOnly; SameSite=Strict`;
}

function secret(): string {
  return randomBytes(32).toString('base64url');
}

function equal(one: string, other: string): boolean {
  const [first, second] = [Buffer.from(one), Buffer.from(other)];
  return first.length === second.length && timingSafeEqual(first, second);
}
