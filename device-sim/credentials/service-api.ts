/**
 * The calls of the simulator to the enrollment service as an administrator: tokens for devices,
 * certificates for observers, revocations for drills.
 *
 * @module
 */
import { enrollmentAgent } from '../../core/protocol/enrollment-agent.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import {
  deviceSchema,
  issuedSchema,
  revokedSchema,
  tokenBatchSchema,
  type DeviceAnswer,
  type RevocationReason,
} from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson, problemOf, type Call } from '../../core/protocol/https-client.ts';
import type { DialIdentity } from '../device/dial.ts';

/** The most devices in one request for tokens. */
const batchMax = 1000;

export interface Revoked {
  readonly serials: readonly string[];
  readonly connectionsClosed: number;
  readonly elapsedMs: number;
}

export class ServiceApi {
  readonly #url: string;
  readonly #ca: string;
  readonly #admin: { readonly cert: string; readonly key: string };
  readonly #agent = enrollmentAgent(4);

  constructor(url: string, ca: string, admin: { readonly cert: string; readonly key: string }) {
    this.#url = url;
    this.#ca = ca;
    this.#admin = admin;
  }

  /** One token for each device, in the same order. @throws FlotillaError the service's own */
  async createTokens(
    devices: readonly string[],
    group: string,
    ttlSeconds: number,
  ): Promise<string[]> {
    const tokens: string[] = [];
    for (let first = 0; first < devices.length; first += batchMax) {
      const batch = devices.slice(first, first + batchMax);
      const answer = await callJson(
        this.#call('POST', '/v1/tokens/batch', { devices: batch, group, ttlSeconds }),
        tokenBatchSchema,
      );
      const byDevice = new Map<string, string>(
        answer.tokens.map(({ device, token }) => [device, token]),
      );
      tokens.push(...batch.map((device) => byDevice.get(device) ?? ''));
    }
    return tokens;
  }

  /** A certificate for an observer of the run. @throws FlotillaError the service's own */
  async createService(name: string): Promise<DialIdentity> {
    const key = await generateKey('p256');
    const csr = createCsr({ key, commonName: name });
    const issued = await callJson(
      this.#call('POST', '/v1/services', { name, role: 'service', csr: csr.pem }),
      issuedSchema,
    );
    return { key: privateKeyPem(key), chain: issued.chain };
  }

  /** Revokes all certificates of a device; effective when it resolves. */
  revoke(id: string, reason: RevocationReason): Promise<Revoked> {
    return callJson(
      this.#call('POST', `/v1/devices/${encodeURIComponent(id)}/revoke`, { reason }),
      revokedSchema,
    );
  }

  /** A device in the registry; undefined when it does not exist. */
  async device(id: string): Promise<DeviceAnswer | undefined> {
    const call = this.#call('GET', `/v1/devices/${encodeURIComponent(id)}`);
    const answer = await callHttps(call);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw problemOf(answer);
    return deviceSchema.parse(JSON.parse(answer.body.toString('utf8')));
  }

  /** Deletes a device or service; a missing one is not an error. */
  async remove(id: string): Promise<void> {
    const answer = await callHttps(this.#call('DELETE', `/v1/devices/${encodeURIComponent(id)}`));
    if (answer.status >= 400 && answer.status !== 404) throw problemOf(answer);
  }

  close(): void {
    this.#agent.destroy();
  }

  #call(method: Call['method'], path: string, body?: object): Call {
    return {
      method,
      url: new URL(path, this.#url).href,
      ca: this.#ca,
      ...this.#admin,
      agent: this.#agent,
      ...(body === undefined ? {} : { body }),
    };
  }
}
