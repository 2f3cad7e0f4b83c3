/**
 * A small HTTPS client for the enrollment service: pinned CA, client certificate, JSON requests and
 * responses, problem documents as errors of the catalogue. No redirects, no proxies, bounded responses.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto';
import { request, type Agent, type RequestOptions } from 'node:https';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { z } from 'zod';
import { printable } from '../escape.ts';
import { caSchema, problemSchema, type CaAnswer } from './enrollment-api.ts';
import { isErrorCode } from '../errors/catalogue.ts';
import { FlotillaError, messageOf } from '../errors/flotilla-error.ts';
import { issuesText } from '../issue-text.ts';

/** The largest response that is read, in bytes. */
export const responseMaxBytes = 64 * 1024 * 1024;
const defaultTimeoutMs = 20_000;
const caAnswerMaxBytes = 256 * 1024;
const caMaxCertificates = 16;

/**
 * The common name of the enrollment service's certificate. No other identity can have it. Brokers have
 * server certificates of the same CA and often the same host names, so that the host name alone would let
 * a stolen broker key pose as the enrollment service.
 */
export const enrollmentServerName = 'enrollment';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: string;
  /** PEM of the trusted CAs; no others are trusted. */
  readonly ca: string;
  /** Client certificate (chain) and key, PEM. */
  readonly cert?: string;
  readonly key?: string;
  readonly bearer?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes are sent unchanged; an object is sent as JSON. */
  readonly body?: string | Buffer | object;
  /**
   * For the whole call (default: 20 s). For a streamed response: until it begins, and then between two
   * chunks.
   */
  readonly timeoutMs?: number;
  /** The largest response that is read, in bytes (default: {@link responseMaxBytes}). */
  readonly answerMaxBytes?: number;
  /** Reuses connections; without it each call opens its own. */
  readonly agent?: Agent;
  /** `any`: the server is not the enrollment service, so that only its host name is checked. */
  readonly server?: 'enrollment' | 'any';
}

export interface HttpsResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * Makes one call and reads the whole response, with any status.
 *
 * @throws FlotillaError `service-address-invalid`, `service-unreachable`, `service-untrusted`,
 *   `service-name-mismatch`, `credentials-unusable`, `credentials-refused`, `service-answer-invalid`
 *   (too large)
 */
export async function callHttps(call: Call): Promise<HttpsResponse> {
  return await readAnswer(
    call.url,
    send(call),
    call.answerMaxBytes ?? responseMaxBytes,
    call.timeoutMs ?? defaultTimeoutMs,
  );
}

/**
 * Makes one call and returns the response as a stream, for responses that do not end (the feed).
 *
 * @throws FlotillaError as {@link callHttps}, but the caller has to limit the size
 */
export async function openHttps(call: Call): Promise<IncomingMessage> {
  return await begun(call.url, send(call), call.timeoutMs ?? defaultTimeoutMs);
}

/**
 * Makes one call, expects success, and validates the JSON response.
 *
 * @throws FlotillaError the error that the service sent, otherwise as {@link callHttps}
 */
export async function callJson<T>(call: Call, schema: z.ZodType<T>): Promise<T> {
  const answer = await callHttps({
    ...call,
    headers: { accept: 'application/json', ...call.headers },
  });
  if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
  const result = schema.safeParse(jsonOf(answer));
  if (!result.success) {
    throw new FlotillaError('service-answer-invalid', { detail: issuesText(result.error.issues) });
  }
  return result.data;
}

/** Converts an error response to an error of the catalogue. */
export function problemOf(answer: HttpsResponse): FlotillaError {
  const problem = problemSchema.safeParse(jsonOf(answer));
  const retryAfter = /^\d{1,9}$/.exec(answer.headers['retry-after'] ?? '');
  const retry = retryAfter === null ? {} : { retryAfterSeconds: Number(retryAfter[0]) };
  if (problem.success && isErrorCode(problem.data.code)) {
    const { code, detail } = problem.data;
    return new FlotillaError(code, {
      ...(detail === undefined ? {} : { detail: oneLine(detail) }),
      ...retry,
    });
  }
  const code = problem.success ? `, ${oneLine(problem.data.code)}` : '';
  return new FlotillaError('service-answer-invalid', {
    detail: `HTTP status ${answer.status}${code}`,
    ...retry,
  });
}

/**
 * Fetches the CA over an unverified connection, and trusts it only if the fingerprint of the root is the
 * pinned one. Nothing secret is sent. The caller makes its real calls with the returned `ca` over verified
 * connections.
 *
 * A man in the middle can send the genuine root, which is public, together with a CA of their own:
 * only certificates that the pinned root has signed, directly or indirectly, are returned.
 *
 * @param fingerprint `sha256:` and 64 hexadecimal digits over the root's DER
 * @throws FlotillaError `fingerprint-invalid`; `service-untrusted` if no certificate has it; otherwise
 *   as {@link callHttps}
 */
export async function fetchPinnedCa(url: string, fingerprint: string): Promise<CaAnswer> {
  const pin = fingerprint.toLowerCase();
  if (!/^sha256:[0-9a-f]{64}$/.test(pin)) {
    throw new FlotillaError('fingerprint-invalid', { detail: printable(fingerprint, 80) });
  }
  const answer = await fetchUnverified(caUrl(url));
  const result = caSchema.safeParse(jsonOf(answer));
  if (answer.status !== 200 || !result.success) {
    throw new FlotillaError('service-answer-invalid', { detail: `${url} did not return a CA` });
  }
  const certificates = certificatesIn(result.data.ca);
  const root = certificates.find((one) => fingerprintOf(one) === pin);
  if (root === undefined) {
    const seen = certificates[0] === undefined ? 'nothing' : fingerprintOf(certificates[0]);
    throw new FlotillaError('service-untrusted', {
      detail: `${url} has the root ${seen}, expected ${pin}`,
    });
  }
  const proven = [root, ...provenBy(root, certificates)];
  return { fingerprint: pin, ca: proven.map((one) => one.toString()).join('') };
}

function caUrl(url: string): string {
  if (!URL.canParse('/v1/ca', url)) throw addressInvalid(url);
  return new URL('/v1/ca', url).href;
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.slice(0, caMaxCertificates).map((block) => new X509Certificate(block));
  } catch (error) {
    throw new FlotillaError('service-answer-invalid', { detail: 'no certificate', cause: error });
  }
}

/** The CA certificates that chain to `root`, in the order in which they are verified. */
function provenBy(
  root: X509Certificate,
  certificates: readonly X509Certificate[],
): X509Certificate[] {
  const proven: X509Certificate[] = [];
  const open = new Set(certificates.filter((one) => !one.raw.equals(root.raw) && one.ca));
  for (let issuer: X509Certificate | undefined = root, at = 0; issuer; issuer = proven[at++]) {
    for (const one of open) {
      if (!one.checkIssued(issuer) || !one.verify(issuer.publicKey)) continue;
      proven.push(one);
      open.delete(one);
    }
  }
  return proven;
}

function fingerprintOf(certificate: X509Certificate): string {
  return `sha256:${createHash('sha256').update(certificate.raw).digest('hex')}`;
}

async function fetchUnverified(url: string): Promise<HttpsResponse> {
  // The one place where a certificate is not verified: what comes back is compared with the pin.
  const outgoing = started(url, { method: 'GET', agent: false, rejectUnauthorized: false });
  outgoing.end();
  return await readAnswer(url, outgoing, caAnswerMaxBytes, defaultTimeoutMs);
}

function send(call: Call): ClientRequest {
  const { body, type } = encode(call.body);
  const outgoing = started(call.url, {
    method: call.method,
    ca: call.ca,
    cert: call.cert,
    key: call.key,
    agent: call.agent ?? false,
    minVersion: 'TLSv1.2',
    // Explicit, because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    rejectUnauthorized: true,
    headers: {
      ...(body === undefined ? {} : { 'content-type': type, 'content-length': body.length }),
      ...(call.bearer === undefined ? {} : { authorization: `Bearer ${call.bearer}` }),
      ...call.headers,
    },
  });
  if (call.server === 'any') outgoing.end(body);
  else sendChecked(outgoing, body);
  return outgoing;
}

/**
 * Sends the request once the server has proved that it is the enrollment service. The check is not the TLS
 * option `checkServerIdentity`, which would prevent an agent from reusing connections. Nothing, no token
 * either, has been sent before it.
 */
function sendChecked(outgoing: ClientRequest, body: Buffer | undefined): void {
  outgoing.once('socket', (socket) => {
    // Node.js 22 and 24 return the certificate of a connection only once, so the result is kept.
    if (checkedSockets.has(socket)) {
      outgoing.end(body);
      return;
    }
    if (outgoing.reusedSocket) {
      outgoing.destroy(notEnrollment());
      return;
    }
    socket.once('secureConnect', () => {
      if (!isEnrollmentServer(socket)) {
        outgoing.destroy(notEnrollment());
        return;
      }
      checkedSockets.add(socket);
      outgoing.end(body);
    });
  });
}

/** Connections whose server has been checked. */
const checkedSockets = new WeakSet<Socket>();

function isEnrollmentServer(socket: Socket): boolean {
  if (!(socket instanceof TLSSocket)) return false;
  return socket.getPeerX509Certificate()?.subject === `CN=${enrollmentServerName}`;
}

function notEnrollment(): Error {
  return Object.assign(new Error('this is not the certificate of an enrollment service'), {
    code: 'ERR_TLS_CERT_NOT_ENROLLMENT',
  });
}

function started(url: string, options: RequestOptions): ClientRequest {
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:') throw addressInvalid(url);
  try {
    return request(url, options);
  } catch (error) {
    throw unreachable(url, error);
  }
}

/** Waits for the head of the response. */
function begun(url: string, outgoing: ClientRequest, timeoutMs: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => outgoing.destroy(tooLate()), timeoutMs);
    outgoing.on('error', (error) => {
      clearTimeout(timer);
      reject(unreachable(url, error));
    });
    outgoing.on('response', (response) => {
      clearTimeout(timer);
      outgoing.setTimeout(timeoutMs, () => response.destroy(tooLate()));
      resolve(response);
    });
  });
}

async function readAnswer(
  url: string,
  outgoing: ClientRequest,
  maxBytes: number,
  timeoutMs: number,
): Promise<HttpsResponse> {
  const deadlineMs = performance.now() + timeoutMs;
  const response = await begun(url, outgoing, timeoutMs);
  const timer = setTimeout(
    () => response.destroy(tooLate()),
    Math.max(0, deadlineMs - performance.now()),
  );
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new FlotillaError('service-answer-invalid', { detail: 'the response is too large' });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof FlotillaError ? error : unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks),
  };
}

function tooLate(): Error {
  return new Error('no response in time');
}

function encode(body: Call['body']): { body: Buffer | undefined; type: string } {
  if (body === undefined) return { body: undefined, type: '' };
  if (Buffer.isBuffer(body)) return { body, type: 'application/octet-stream' };
  if (typeof body === 'string') return { body: Buffer.from(body), type: 'text/plain' };
  return { body: Buffer.from(JSON.stringify(body)), type: 'application/json' };
}

function jsonOf(answer: HttpsResponse): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** Makes text from the service safe for a terminal: one short line without control characters. */
function oneLine(text: string): string {
  return text.slice(0, 400).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

// Error codes of Node.js for OpenSSL errors: the peer's certificate, our own files, our certificate.
const untrusted =
  /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(?:CA|PURPOSE)|HOSTNAME_|PATH_LENGTH_)/;
const unusable = /^ERR_OSSL_/;
// The alert is in the code of a read error, or in the message of EPROTO for a write error.
const refused = /^(?:ERR_SSL_.*ALERT_|EPROTO .*alert ).*(?:certificate|unknown[ _]ca)/is;

function unreachable(url: string, error: unknown): FlotillaError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = `${new URL(url).origin}: ${code === '' ? messageOf(error) : code}`;
  const options = { detail, cause: error };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return nameMismatch(url, error);
  if (untrusted.test(code)) return new FlotillaError('service-untrusted', options);
  if (unusable.test(code)) return new FlotillaError('credentials-unusable', options);
  if (refused.test(`${code} ${messageOf(error)}`))
    return new FlotillaError('credentials-refused', options);
  return new FlotillaError('service-unreachable', options);
}

/** The chain is trusted, the certificate is for other names. */
function nameMismatch(url: string, error: unknown): FlotillaError {
  const { cert } = error as { cert?: { subjectaltname?: unknown } };
  const names = typeof cert?.subjectaltname === 'string' ? cert.subjectaltname : '';
  const listed = oneLine(names.replaceAll(/(?:DNS|IP Address):/g, ''));
  const detail = `asked for ${new URL(url).hostname}, the certificate has ${listed || 'no names'}`;
  return new FlotillaError('service-name-mismatch', { detail, cause: error });
}

function addressInvalid(url: string): FlotillaError {
  return new FlotillaError('service-address-invalid', { detail: printable(url) });
}
