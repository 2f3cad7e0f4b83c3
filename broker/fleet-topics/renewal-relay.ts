/**
 * Certificate renewal over MQTT, for devices that can reach only the broker: a CSR published on
 * `$fleet/certs/{id}/renew` is passed to the enrollment service, and its response is published on
 * `…/accepted` or `…/rejected`. The broker confirms only which certificate the connection uses. For a
 * new key, the device's own proof is passed on.
 *
 * @module
 */
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import { pemOf } from '../../certs/pem.ts';
import {
  issuedSchema,
  type Issued,
  type RelayRenewRequest,
} from '../../core/protocol/enrollment-api.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { Logger } from '../../core/log.ts';
import type { FeedCredentials } from '../feed/feed-client.ts';
import type { Identity } from '../contracts/identity.ts';

/** The maximum size of a request, in bytes. */
export const renewalMaxBytes = 20 * 1024;
/** Maximum simultaneous renewals, over all devices. */
export const renewalsMax = 256;

const requestSchema = z.object({
  csr: z.string().min(1).max(16_384),
  proof: z.string().min(1).max(1024).optional(),
});

/** Requests of one identity that are handled in a minute. Further ones are counted and not answered. */
export const renewalsPerMinuteMax = 10;
const minuteMs = 60_000;

export interface RenewalRelayDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Requests the renewal from the enrollment service. */
  renew(request: RelayRenewRequest): Promise<Issued>;
  publish(topic: string, message: object): void;
  /** Writes a log line about a rejected request, within the limits for what clients cause. */
  logRejected(device: string, fields: object): void;
}

export class RenewalRelay {
  readonly #deps: RenewalRelayDeps;
  readonly #inProgress = new Set<string>();
  /** The requests of each identity in this minute. */
  readonly #requests = new Map<string, number>();
  #minuteEnds = false;

  constructor(deps: RenewalRelayDeps) {
    this.#deps = deps;
  }

  /** Handles messages on the renewal topic of a device; all others are routed. */
  readonly intercept = (identity: Identity, topic: string, payload: Buffer): boolean => {
    if (topic !== `$fleet/certs/${identity.id}/renew`) return false;
    if (this.#admits(identity.id)) void this.#renew(identity, payload);
    return true;
  };

  /** Counts a request. The first one over the limit is answered, the others are only counted. */
  #admits(device: string): boolean {
    if (!this.#minuteEnds) {
      this.#minuteEnds = true;
      this.#deps.clock.after(minuteMs, () => this.#endMinute());
    }
    const requests = (this.#requests.get(device) ?? 0) + 1;
    this.#requests.set(device, requests);
    if (requests <= renewalsPerMinuteMax) return true;
    if (requests === renewalsPerMinuteMax + 1) {
      const error = new FlotillaError('renewal-busy', { retryAfterSeconds: minuteMs / 1000 });
      this.#reject(device, error, {});
    }
    return false;
  }

  /** Reports how many requests were ignored, in one line, and starts to count again. */
  #endMinute(): void {
    this.#minuteEnds = false;
    const ignored = [...this.#requests]
      .map(([device, requests]) => ({ device, requests: requests - renewalsPerMinuteMax - 1 }))
      .filter(({ requests }) => requests > 0);
    this.#requests.clear();
    const [worst] = ignored.toSorted((a, b) => b.requests - a.requests);
    if (worst === undefined) return;
    const requests = ignored.reduce((sum, one) => sum + one.requests, 0);
    this.#deps.log.warn(
      { requests, devices: ignored.length, device: worst.device },
      'renewal requests over the limit ignored',
    );
  }

  #reject(device: string, error: FlotillaError, cause: { readonly err?: unknown }): void {
    const { code, detail } = error;
    const fields = { device, code, detail, ...cause };
    this.#deps.logRejected(device, fields);
    this.#deps.publish(`$fleet/certs/${device}/rejected`, rejection(error));
  }

  async #renew(identity: Identity, payload: Buffer): Promise<void> {
    const { id } = identity;
    try {
      const { csr, proof } = parseRequest(payload);
      if (this.#inProgress.has(id) || this.#inProgress.size >= renewalsMax) {
        throw new FlotillaError('renewal-busy', { retryAfterSeconds: 5 });
      }
      this.#inProgress.add(id);
      try {
        const issued = await this.#deps.renew({
          device: id,
          serial: identity.serial,
          fingerprint: identity.fingerprint,
          csr,
          ...(proof === undefined ? {} : { proof }),
          remoteAddress: identity.remoteAddress.slice(0, 64),
        });
        this.#deps.publish(`$fleet/certs/${id}/accepted`, issued);
        this.#deps.log.info({ device: id, serial: issued.serial }, 'certificate renewed over MQTT');
      } finally {
        this.#inProgress.delete(id);
      }
    } catch (error) {
      const known = isFlotillaError(error)
        ? error
        : new FlotillaError('internal', { cause: error });
      this.#reject(id, known, known === error ? {} : { err: error });
    }
  }
}

/** Requests renewals over mutual TLS with the broker's own certificate. */
export function renewOver(
  url: string,
  credentials: () => FeedCredentials,
): RenewalRelayDeps['renew'] {
  return (request) =>
    callJson(
      {
        method: 'POST',
        url: new URL('/v1/relay/renew', url).href,
        ...credentials(),
        body: request,
      },
      issuedSchema,
    );
}

/** Reads a CSR as DER or PEM, or JSON with the CSR as PEM and, for a new key, the proof. */
function parseRequest(payload: Buffer): z.infer<typeof requestSchema> {
  if (payload.length > renewalMaxBytes) {
    throw new FlotillaError('renewal-invalid', { detail: `${payload.length} bytes` });
  }
  if (payload[0] === derSequence) return { csr: pemOf('CERTIFICATE REQUEST', payload) };
  const text = payload.toString('utf8').trim();
  if (text.startsWith('-----BEGIN')) return { csr: text };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FlotillaError('renewal-invalid', {
      detail: 'neither DER nor PEM nor JSON',
      cause: error,
    });
  }
  const request = requestSchema.safeParse(value);
  if (!request.success) throw new FlotillaError('renewal-invalid', { detail: 'no "csr"' });
  return request.data;
}
const derSequence = 0x30;

function rejection(error: FlotillaError): object {
  const { code, detail, retryAfterSeconds, spec } = error;
  return {
    code,
    title: spec.title,
    advice: spec.advice,
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}
