/**
 * A call whose body or response is not one JSON document, as a value: EST, CRL, OCSP, the feed, import and
 * export. The JSON API has its own kind of route (route.ts).
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OperatorCaller } from '../operators/caller.ts';
import type { ClientIdentity } from './client-certificate.ts';
import type { Access } from './route.ts';

export interface RawRequest {
  /** A string, a Buffer or parsed JSON, by the media type; undefined without a body. */
  readonly body: unknown;
  /** Of the body, without parameters. */
  readonly mediaType: string | undefined;
  readonly query: unknown;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** Path and query as they were sent, before any decoding. */
  readonly url: string;
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
  /**
   * Notes a refusal that the response itself reports: it is logged, and wrong credentials count for the limit of the
   * address. Returns the error for the client.
   */
  readonly note: (thrown: unknown) => FlotillaError;
  /** Checks the caller's credential again, for responses that do not end. @throws FlotillaError */
  readonly admitAgain: () => Promise<OperatorCaller | undefined>;
}

export interface RawResponse {
  /** 200 by default. */
  readonly status?: number;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Buffer | string | Readable;
  /**
   * The body is a stream that does not end by itself: the headers are sent at once, and the end of the
   * connection or of the stream also ends the other.
   */
  readonly isEndless?: boolean;
}

export interface RawRoute {
  readonly method: 'GET' | 'POST';
  /** May contain `:name` and end with `*`. */
  readonly path: string;
  readonly access: Access;
  /** Media types, other than JSON, that the call accepts as a body. They are read by all routes. */
  readonly accepts?: { readonly mediaTypes: readonly string[]; readonly as: 'buffer' | 'string' };
  /** The most bytes of a body (default: `limits.enroll.bodyMaxBytes`). */
  readonly bodyMaxBytes?: number;
  handle(request: RawRequest): Promise<RawResponse>;
}
