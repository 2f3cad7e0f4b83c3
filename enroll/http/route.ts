/**
 * One call of the JSON API as a value: its parameters, the required access, and its response. The server and
 * the OpenAPI document use the same values.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { issuesText } from '../../core/issue-text.ts';
import type { OperatorCaller } from '../operators/caller.ts';
import { isOperatorRole, type OperatorRole } from '../../core/protocol/operator-role.ts';
import type { ClientIdentity } from './client-certificate.ts';

/**
 * `anyone`: no credential, or one that the call checks itself. `identity`: a valid certificate of this fleet.
 * `renewing`: the same, also in the grace period after its expiry. `broker`: a certificate of a broker.
 * `viewer`, `operator`, `admin`: an operator with at least this role, by certificate, API key or browser
 * session.
 */
export type Access = 'anyone' | 'identity' | 'renewing' | 'broker' | OperatorRole;

/** The role that a call needs from an operator; undefined for calls of devices and brokers. */
export function roleOf(access: Access): OperatorRole | undefined {
  return isOperatorRole(access) ? access : undefined;
}

/** One request. */
export interface RouteRequest<B, Q, P> {
  readonly body: B;
  readonly query: Q;
  readonly params: P;
  readonly headers: IncomingHttpHeaders;
  /** The holder of the client certificate; undefined where access is `anyone` or an operator's role. */
  readonly identity: ClientIdentity | undefined;
  /** The operator who calls; undefined where access is not an operator's role. */
  readonly operator: OperatorCaller | undefined;
  /** The certificate that the client proved to own, whoever issued it. */
  readonly certificate: X509Certificate | undefined;
  /** For the audit log. */
  readonly actor: string;
  readonly remoteAddress: string;
  /** Sets a header of the response. */
  readonly header: (name: string, value: string) => void;
  /** Sets a status other than the route's own. */
  readonly status: (code: number) => void;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `/v1/devices/:id` */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly status: 200 | 201 | 204;
  readonly body: z.ZodType | undefined;
  readonly query: z.ZodType | undefined;
  readonly params: z.ZodType | undefined;
  /** Undefined for a response without a body. */
  readonly response: z.ZodType | undefined;
  /** The maximum size of a body (default: `limits.enroll.bodyMaxBytes`). */
  readonly bodyMaxBytes: number | undefined;
  /** Whether the call takes If-Match with the ETag that was read; undefined: it does not. */
  readonly ifMatch: 'optional' | 'required' | undefined;
  /** Validates the request and returns the response. */
  handle(request: RouteRequest<unknown, unknown, unknown>): Promise<unknown>;
}

export interface RouteOptions<B, Q, P, A> {
  readonly method: HttpRoute['method'];
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly status?: HttpRoute['status'];
  readonly body?: z.ZodType<B>;
  readonly query?: z.ZodType<Q>;
  readonly params?: z.ZodType<P>;
  readonly response?: z.ZodType<A>;
  readonly bodyMaxBytes?: number;
  readonly ifMatch?: HttpRoute['ifMatch'];
  handle(request: RouteRequest<B, Q, P>): Promise<A>;
}

/** Creates a route whose handler gets validated values only. */
export function route<B = undefined, Q = undefined, P = undefined, A = undefined>(
  options: RouteOptions<B, Q, P, A>,
): HttpRoute {
  const { method, path, summary, access, status = 200, body, query, params, response } = options;
  return {
    method,
    path,
    summary,
    access,
    status,
    body,
    query,
    params,
    response,
    bodyMaxBytes: options.bodyMaxBytes,
    ifMatch: options.ifMatch,
    handle: (request) =>
      options.handle({
        ...request,
        body: parse(body, request.body, 'body'),
        query: parse(query, request.query, 'query'),
        params: parse(params, request.params, 'path'),
      }),
  };
}

function parse<T>(schema: z.ZodType<T> | undefined, value: unknown, where: string): T {
  // Without a schema the type is undefined, and the handler gets undefined.
  if (schema === undefined) return undefined as T;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new FlotillaError('request-invalid', { detail: issuesText(result.error.issues, where) });
}
