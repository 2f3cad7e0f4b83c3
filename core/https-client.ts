/**
 * A small HTTPS client for the enrollment service: pinned CA, client certificate, JSON in and out,
 * problem documents turned into errors of the catalogue. No redirects, no proxies, bounded answers.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto';
import { request, type Agent, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { caSchema, problemSchema, type CaAnswer } from './enrollment-api.ts';
import { isErrorCode } from './errors/catalogue.ts';
import { FlotillaError, messageOf } from './errors/flotilla-error.ts';

/** The largest answer that is read, in bytes. */
export const answerMaxBytes = 64 * 1024 * 1024;
const timeoutUsualMs = 20_000;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: string;
  /** PEM of what is trusted; the only roots that count. */
  readonly ca: string;
  /** Client certificate (chain) and key, PEM. */
  readonly cert?: string;
  readonly key?: string;
  readonly bearer?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is with its media type; an object goes out as JSON. */
  readonly body?: string | Buffer | object;
  readonly timeoutMs?: number;
  /** Keeps connections; without one each call makes its own. */
  readonly agent?: Agent;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * Makes one call and reads the whole answer, whatever its status.
 *
 * @throws FlotillaError `service-unreachable`, `service-untrusted`, `service-answer-invalid` (too large)
 */
export async function callHttps(call: Call): Promise<Answer> {
  const response = await openHttps(call);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > answerMaxBytes) {
        response.destroy();
        throw new FlotillaError('service-answer-invalid', { detail: 'the answer is too large' });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw unreachable(call.url, error);
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks),
  };
}

/** Makes one call and gives the response as a stream, for answers that do not end (the feed). */
export function openHttps(call: Call): Promise<IncomingMessage> {
  const { body, type } = encode(call.body);
  const options: RequestOptions = {
    method: call.method,
    ca: call.ca,
    cert: call.cert,
    key: call.key,
    agent: call.agent ?? false,
    minVersion: 'TLSv1.2',
    headers: {
      ...(body === undefined ? {} : { 'content-type': type, 'content-length': body.length }),
      ...(call.bearer === undefined ? {} : { authorization: `Bearer ${call.bearer}` }),
      ...call.headers,
    },
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(call.url, options, resolve);
    outgoing.setTimeout(call.timeoutMs ?? timeoutUsualMs, () => {
      outgoing.destroy(new Error('no answer in time'));
    });
    outgoing.on('error', (error) => reject(unreachable(call.url, error)));
    outgoing.end(body);
  });
}

/**
 * Makes one call, expects success and JSON of a shape.
 *
 * @throws FlotillaError the service's own error by its code; else as {@link callHttps}
 */
export async function callJson<T>(call: Call, schema: z.ZodType<T>): Promise<T> {
  const answer = await callHttps(call);
  if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
  const result = schema.safeParse(jsonOf(answer));
  if (!result.success) {
    throw new FlotillaError('service-answer-invalid', { detail: result.error.message });
  }
  return result.data;
}

/** The error that a refusal stands for. */
export function problemOf(answer: Answer): FlotillaError {
  const problem = problemSchema.safeParse(jsonOf(answer));
  const retryAfter = Number(answer.headers['retry-after']);
  const retry = Number.isFinite(retryAfter) ? { retryAfterSeconds: retryAfter } : {};
  if (problem.success && isErrorCode(problem.data.code)) {
    const { code, detail } = problem.data;
    return new FlotillaError(code, { ...(detail === undefined ? {} : { detail }), ...retry });
  }
  return new FlotillaError('service-answer-invalid', {
    detail: `HTTP status ${answer.status}${problem.success ? `, ${problem.data.code}` : ''}`,
    ...retry,
  });
}

/**
 * Fetches the CA over a connection that proves nothing, and believes it only when the root's
 * fingerprint is the pinned one. Nothing secret is sent. The caller makes its real calls with the
 * returned `ca` over verified connections.
 *
 * @param fingerprint `sha256:` and 64 hexadecimal digits over the root's DER
 * @throws FlotillaError `service-untrusted` when the fingerprint differs
 */
export async function fetchPinnedCa(url: string, fingerprint: string): Promise<CaAnswer> {
  const answer = await fetchUnverified(new URL('/v1/ca', url).href);
  const result = caSchema.safeParse(jsonOf(answer));
  if (!result.success) {
    throw new FlotillaError('service-answer-invalid', { detail: `${url} does not give a CA` });
  }
  const certificates = result.data.ca.match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  );
  let root: X509Certificate;
  try {
    root = new X509Certificate(certificates?.[0] ?? '');
  } catch (error) {
    throw new FlotillaError('service-answer-invalid', { detail: 'no certificate', cause: error });
  }
  const seen = `sha256:${createHash('sha256').update(root.raw).digest('hex')}`;
  if (seen !== fingerprint.toLowerCase()) {
    throw new FlotillaError('service-untrusted', {
      detail: `${url} has the root ${seen}, expected was ${fingerprint}`,
    });
  }
  return { fingerprint: seen, ca: result.data.ca };
}

function fetchUnverified(url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // The one place where a certificate is not verified: what comes back is compared with the pin.
    const options = { method: 'GET', agent: false, rejectUnauthorized: false } as const;
    const outgoing = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > 256 * 1024) response.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('error', (error) => reject(unreachable(url, error)));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    outgoing.setTimeout(timeoutUsualMs, () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', (error) => reject(unreachable(url, error)));
    outgoing.end();
  });
}

function encode(body: Call['body']): { body: Buffer | undefined; type: string } {
  if (body === undefined) return { body: undefined, type: '' };
  if (Buffer.isBuffer(body)) return { body, type: 'application/octet-stream' };
  if (typeof body === 'string') return { body: Buffer.from(body), type: 'text/plain' };
  return { body: Buffer.from(JSON.stringify(body)), type: 'application/json' };
}

function jsonOf(answer: Answer): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

const untrusted = /^(?:ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

function unreachable(url: string, error: unknown): FlotillaError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = `${new URL(url).origin}: ${code === '' ? messageOf(error) : code}`;
  return new FlotillaError(untrusted.test(code) ? 'service-untrusted' : 'service-unreachable', {
    detail,
    cause: error,
  });
}
