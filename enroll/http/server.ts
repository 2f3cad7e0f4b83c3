/**
 * The HTTPS server: TLS, limits on connections, and fastify behind it.
 *
 * @module
 */
import type { Server } from 'node:https';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { jsonBody } from '../../core/json-text.ts';
import type { Logger } from '../../core/log.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import type { Registry } from '../registry/registry.ts';
import {
  brokerLeniency,
  identifyClient,
  leniencyOf,
  strict,
  peerCertificate,
  type ClientIdentity,
} from './client-certificate.ts';
import { catalogued, problemMediaType, problemResponse } from './problem.ts';
import { listenError } from '../../core/errors/listen-error.ts';
import { addressPrefix, unmappedAddress } from '../../core/ip-address.ts';
import type { OperatorAuthentication } from '../operators/operator-authentication.ts';
import { includesRole } from '../../core/protocol/operator-role.ts';
import type { OperatorCaller } from '../operators/caller.ts';
import { IdempotentCalls, type KeptResponse } from './idempotency.ts';
import { responseHeaders } from './page-headers.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { bearerOf } from './authorization-header.ts';
import { operationOf, type OperationTag } from './operations.ts';
import { sendEndless } from './endless-response.ts';
import { loggedPath } from './logged-path.ts';
import { FailureLimit } from './failure-limit.ts';
import { RefusalLog } from './refusal-log.ts';
import { assertSameSite } from './same-site.ts';
import { cookieOf, sessionCookie } from './session-cookie.ts';
import type { RawRoute } from './raw-route.ts';
import {
  createTlsServer,
  refuseGarbage,
  secureContextOf,
  type ServerCertificate,
} from './tls-server.ts';
import { roleOf, type Access, type HttpRoute } from './route.ts';
import { challengeFor, isEmptyChallenge, unauthorizedStatus } from './unauthorized-response.ts';

export interface HttpDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly ca: CertificateAuthority;
  readonly registry: Registry;
  readonly operators: OperatorAuthentication;
  readonly tls: ServerCertificate;
  readonly routes: readonly HttpRoute[];
  readonly rawRoutes: readonly RawRoute[];
  /** Called with the status of each response. */
  readonly responded: (status: number) => void;
}

const emptyBody = Buffer.alloc(0);

/** The authenticated caller of a request. */
export interface Caller {
  readonly identity: ClientIdentity | undefined;
  readonly operator: OperatorCaller | undefined;
  /** For the audit log. */
  readonly actor: string;
}

const anonymous: Caller = { identity: undefined, operator: undefined, actor: 'anonymous' };

export class HttpServer {
  readonly app: FastifyInstance;
  readonly #deps: HttpDeps;
  readonly #server: Server;
  readonly #requests: RateLimiter;
  readonly #failures: FailureLimit;
  readonly #refusals: RefusalLog;
  readonly #idempotent: IdempotentCalls;
  readonly #callers = new WeakMap<FastifyRequest, Caller>();

  constructor(deps: HttpDeps) {
    this.#deps = deps;
    const { limits } = deps.config;
    const { enroll } = limits;
    this.#idempotent = new IdempotentCalls(deps.clock);
    this.#requests = new RateLimiter(deps.clock, enroll.requestsPerAddressPerSecond, 1000);
    this.#refusals = new RefusalLog(deps.log, deps.clock);
    this.#failures = new FailureLimit(deps.clock, enroll.failuresPerAddressPerMinute);
    let server: Server | undefined;
    this.app = fastify({
      logger: false,
      bodyLimit: enroll.bodyMaxBytes,
      requestTimeout: enroll.requestTimeoutMs,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: 512 },
      exposeHeadRoutes: false,
      // A path that cannot be decoded, or has a parameter that is too long.
      frameworkErrors: (error, request, reply) => {
        void reply.headers(responseHeaders);
        this.#refuse(error, request, reply);
      },
      clientErrorHandler: (error, socket) => refuseGarbage(error, socket, this.#refusals),
      serverFactory: (handler) => {
        server = createTlsServer(deps, handler);
        return server;
      },
    });
    if (server === undefined) throw new Error('fastify made no server');
    this.#server = server;
    this.#prepare();
    for (const one of deps.routes) this.#serve(one);
    for (const one of deps.rawRoutes) this.#serveRaw(one);
  }

  /** Starts to listen. @throws FlotillaError `address-in-use`, `start-failed` */
  async listen(): Promise<{ host: string; port: number }> {
    const { host, enroll } = this.#deps.config;
    try {
      await this.app.listen({ host, port: enroll.port, backlog: 1024 });
    } catch (error) {
      throw listenError(host, enroll.port, error);
    }
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new FlotillaError('start-failed');
    return { host, port: address.port };
  }

  /** Uses another certificate and trusts other CAs from the next handshake on. */
  replaceTls(material: ServerCertificate): void {
    this.#server.setSecureContext(secureContextOf(material));
  }

  async close(): Promise<void> {
    await this.app.close();
    this.#refusals.close();
  }

  /**
   * Checks the rate limit of the address, then the credential and role.
   *
   * @param tag the group of the operation, for API keys that are limited to some groups
   * @throws FlotillaError `too-many-requests`, `client-certificate-…`, `sign-in-required`, `role-missing`, …
   */
  async admit(request: FastifyRequest, access: Access, tag?: OperationTag): Promise<Caller> {
    if (access === 'anyone') {
      this.assertRate(request);
      return anonymous;
    }
    const required = roleOf(access);
    if (required !== undefined) {
      const operator = await this.operatorOf(request);
      if (!includesRole(operator.role, required)) {
        throw new FlotillaError('role-missing', {
          detail: `${operator.name} is ${operator.role}; this needs ${required}`,
        });
      }
      assertScope(operator, tag);
      return { identity: undefined, operator, actor: operator.actor };
    }
    this.#assertRequests(request);
    const { clock, config } = this.#deps;
    const leniency =
      access === 'renewing' ? leniencyOf(config) : access === 'broker' ? brokerLeniency : strict;
    const { socket } = request.raw;
    const identity = await identifyClient(socket, this.#deps, clock.now(), leniency);
    if (access === 'broker' && identity.record.role !== access) {
      throw new FlotillaError('role-missing', { detail: `expected ${access}` });
    }
    return { identity, operator: undefined, actor: identity.record.id };
  }

  /**
   * The operator behind a request, whatever its role.
   *
   * @throws FlotillaError `too-many-requests`, `sign-in-required`, `client-certificate-…`,
   *   `api-key-invalid`, `request-origin-refused`
   */
  async operatorOf(request: FastifyRequest): Promise<OperatorCaller> {
    const { operators, clock } = this.#deps;
    const { headers, method } = request;
    const key = bearerOf(headers.authorization);
    const token = cookieOf(headers.cookie, sessionCookie);
    // A guessed key or session counts against its address as a guessed token does.
    if (key !== undefined || token !== undefined) this.assertRate(request);
    else this.#assertRequests(request);
    if (key !== undefined) return operators.byKey(key);
    if (token !== undefined) {
      const csrf = headers['x-csrf-token'];
      return operators.bySession({
        token,
        unsafe: method !== 'GET' && method !== 'HEAD',
        host: headers.host,
        origin: headers.origin,
        csrf: typeof csrf === 'string' ? csrf : undefined,
      });
    }
    assertSameSite(request);
    const identity = await identifyClient(request.raw.socket, this.#deps, clock.now(), strict);
    return operators.byCertificate(identity.record, identity.certificate.notAfterMs);
  }

  /**
   * The rate limit for calls without a client certificate: addresses that try credentials are refused as
   * well.
   *
   * @throws FlotillaError `too-many-requests`
   */
  assertRate(request: FastifyRequest): void {
    this.#assertRequests(request);
  }

  #assertRequests(request: FastifyRequest): void {
    const retryAfterSeconds = this.#requests.take(addressPrefix(remoteAddressOf(request)));
    if (retryAfterSeconds > 0) throw new FlotillaError('too-many-requests', { retryAfterSeconds });
  }

  #prepare(): void {
    const { app } = this;
    app.addHook('onRequest', (_request, reply, done) => {
      void reply.headers(responseHeaders);
      done();
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer' },
      (_request, bytes: Buffer, done: BodyDone) => {
        try {
          done(null, jsonBody(bytes));
        } catch (error) {
          done(catalogued(error));
        }
      },
    );
    app.addHook('onResponse', (_request, reply, done) => {
      this.#deps.responded(reply.statusCode);
      done();
    });
    app.setNotFoundHandler((request) => {
      this.assertRate(request);
      throw new FlotillaError('not-found', { detail: loggedPath(request.url) });
    });
    app.setErrorHandler((thrown, request, reply) => this.#refuse(thrown, request, reply));
  }

  /** Logs a refusal, and counts wrong credentials. Returns the error for the client. */
  #note(thrown: unknown, request: FastifyRequest): FlotillaError {
    const remoteAddress = remoteAddressOf(request);
    const error = this.#failures.limited(catalogued(thrown), remoteAddress);
    const device = this.#callers.get(request)?.identity?.record.id;
    const facts = {
      method: request.method,
      path: loggedPath(request.url),
      remoteAddress,
      ...(device === undefined ? {} : { device }),
    };
    if ((error.spec.http ?? 500) >= 500)
      this.#refusals.failed({ ...facts, code: error.code, err: thrown });
    else this.#refusals.refused({ ...facts, code: error.code, detail: error.detail });
    return error;
  }

  #refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = this.#note(thrown, request);
    const known = error.spec.http ?? 500;
    const status = known === 401 ? unauthorizedStatus(request.url) : known;
    if (error.retryAfterSeconds !== undefined) {
      void reply.header('retry-after', String(error.retryAfterSeconds));
    }
    if (status === 401) {
      void reply.header('www-authenticate', challengeFor(request.url));
      if (isEmptyChallenge(request.url, request.headers)) return reply.status(status).send();
    }
    // The unread rest of the body must not be parsed as the next request.
    if (status === 413) void reply.header('connection', 'close');
    return (
      reply
        .status(status)
        .type(problemMediaType)
        // As bytes: to a string the framework would add a charset, which the media type does not have.
        .send(Buffer.from(JSON.stringify(problemResponse(error, loggedPath(request.url)))))
    );
  }

  #serve(one: HttpRoute): void {
    const { onRequest, callerOf } = this.#admission(one);
    this.app.route({
      method: one.method,
      url: one.path,
      ...(one.bodyMaxBytes === undefined ? {} : { bodyLimit: one.bodyMaxBytes }),
      onRequest,
      handler: async (request, reply) => {
        void reply.status(one.status).header('cache-control', 'no-store');
        const caller = callerOf(request);
        const run = async (): Promise<KeptResponse> => {
          let { status }: { status: number } = one;
          const result = await one.handle({
            body: request.body,
            query: request.query,
            params: request.params,
            headers: request.headers,
            ...caller,
            certificate: peerCertificate(request.raw.socket),
            remoteAddress: remoteAddressOf(request),
            header: (name, value) => void reply.header(name, value),
            status: (code) => void (status = code),
          });
          if (one.response === undefined) return { status, body: '' };
          return { status, body: typeof result === 'string' ? result : JSON.stringify(result) };
        };
        const key = request.headers['idempotency-key'];
        const isIdempotent = one.method === 'POST' && caller.operator !== undefined;
        const { method, url: path, body } = request;
        const { status, body: text } =
          isIdempotent && typeof key === 'string'
            ? await this.#idempotent.once(caller.actor, key, { method, path, body }, run)
            : await run();
        void reply.status(status);
        if (one.response === undefined) return reply.send(emptyBody);
        return reply.type('application/json').send(text);
      },
    });
  }

  #serveRaw(one: RawRoute): void {
    const { app } = this;
    if (one.accepts !== undefined) {
      const { mediaTypes, as: parseAs } = one.accepts;
      const added = mediaTypes.filter((type) => !app.hasContentTypeParser(type));
      if (added.length > 0) app.addContentTypeParser(added, { parseAs }, keepBody);
    }
    const { onRequest, callerOf } = this.#admission(one);
    app.route<{ Params: Record<string, string | undefined> }>({
      method: one.method,
      url: one.path,
      ...(one.bodyMaxBytes === undefined ? {} : { bodyLimit: one.bodyMaxBytes }),
      onRequest,
      handler: async (request, reply) => {
        const response = await one.handle({
          body: request.body,
          mediaType: request.headers['content-type']?.split(';')[0],
          query: request.query,
          params: request.params,
          url: request.raw.url ?? '',
          headers: request.headers,
          ...callerOf(request),
          certificate: peerCertificate(request.raw.socket),
          remoteAddress: remoteAddressOf(request),
          note: (thrown) => this.#note(thrown, request),
          admitAgain: async () => {
            await onRequest(request);
            return callerOf(request).operator;
          },
        });
        const { status = 200, type, headers = {}, body } = response;
        if (response.isEndless === true) return sendEndless(reply, response);
        return reply.status(status).headers(headers).type(type).send(body);
      },
    });
  }

  /** Admits callers before the body is read. */
  #admission({ method, path, access }: Pick<RawRoute | HttpRoute, 'method' | 'path' | 'access'>): {
    readonly onRequest: (request: FastifyRequest) => Promise<void>;
    readonly callerOf: (request: FastifyRequest) => Caller;
  } {
    const tag = operationOf(method, path)?.tag;
    return {
      onRequest: async (request) => {
        this.#callers.set(request, await this.admit(request, access, tag));
      },
      callerOf: (request) => this.#callers.get(request) ?? anonymous,
    };
  }
}

type BodyDone = (error: Error | null, value?: unknown) => void;

function keepBody(_request: FastifyRequest, body: string | Buffer, done: BodyDone): void {
  done(null, body);
}

/** The address of a client; IPv4 addresses in their own form, also on a dual-stack socket. */
export function remoteAddressOf(request: FastifyRequest): string {
  return unmappedAddress(request.raw.socket.remoteAddress ?? '');
}

/** A key that is limited to some groups of operations may not call others. */
function assertScope({ scopes, actor }: OperatorCaller, tag: OperationTag | undefined): void {
  if (scopes === undefined || (tag !== undefined && scopes.includes(tag))) return;
  throw new FlotillaError('role-missing', {
    detail: `the key ${actor} is limited to ${scopes.join(', ')}`,
  });
}
