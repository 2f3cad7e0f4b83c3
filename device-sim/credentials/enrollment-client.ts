/**
 * Enrolls a simulated device as any device does: with its own key, a CSR and a one-time token over the
 * service's API.
 *
 * @module
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import type { Agent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { createCsr } from '../../certs/csr.ts';
import {
  fingerprintOf,
  generateKey,
  privateKeyPem,
  spkiOf,
  type KeyType,
} from '../../certs/key.ts';
import { issuedSchema, renewalInfoSchema } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { enrollmentAgent } from '../../core/protocol/enrollment-agent.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { DeviceCredential } from '../device/credential.ts';

/** Attempts when the service is busy (429, 503). */
const attemptsMax = 6;
/** A service under load may answer late, which is what is measured; in ms. */
const timeoutMs = 60_000;

/** Enrolls and renews over a limited number of persistent connections. */
export class EnrollmentClient {
  readonly #url: string;
  readonly #ca: string;
  readonly #agent: Agent;

  /** @param concurrency the maximum number of connections */
  constructor(url: string, ca: string, concurrency: number) {
    this.#url = url;
    this.#ca = ca;
    this.#agent = enrollmentAgent(concurrency);
  }

  /**
   * Generates a key, enrolls, and checks that the certificate is for this key.
   *
   * @param onRetry called each time the service is busy
   * @throws FlotillaError the service's own, or `sim-certificate-unusable`
   */
  async enroll(
    id: string,
    keyType: KeyType,
    token: string,
    onRetry: () => void,
  ): Promise<DeviceCredential> {
    const key = await generateKey(keyType);
    const csr = createCsr({ key, commonName: id });
    const issued = await this.#withRetry(onRetry, () =>
      callJson(
        {
          method: 'POST',
          url: new URL('/v1/enroll', this.#url).href,
          ca: this.#ca,
          bearer: token,
          body: { device: id, csr: csr.pem },
          agent: this.#agent,
          timeoutMs,
        },
        issuedSchema,
      ),
    );
    return checked(id, privateKeyPem(key), fingerprintOf(spkiOf(key)), issued);
  }

  /**
   * Renews with the current certificate.
   *
   * @param rekey whether to use a new key
   * @throws FlotillaError the service's own, or `sim-certificate-unusable`
   */
  async renew(
    current: DeviceCredential,
    keyType: KeyType,
    rekey: boolean,
    onRetry: () => void,
  ): Promise<DeviceCredential> {
    const key = rekey ? await generateKey(keyType) : current.key;
    const pem = typeof key === 'string' ? key : privateKeyPem(key);
    const csr = createCsr({
      key: typeof key === 'string' ? keyOf(key) : key,
      commonName: current.id,
    });
    const issued = await this.#withRetry(onRetry, () =>
      callJson(
        {
          method: 'POST',
          url: new URL('/v1/renew', this.#url).href,
          ca: this.#ca,
          cert: current.chain,
          key: current.key,
          body: { csr: csr.pem },
          timeoutMs,
        },
        issuedSchema,
      ),
    );
    return checked(current.id, pem, fingerprintOf(spkiOf(keyOf(pem))), issued);
  }

  /** Whether the time has come at which the service wants the certificate to be renewed. @throws as {@link renew} */
  async isDue({ chain, key }: DeviceCredential, onRetry: () => void): Promise<boolean> {
    const url = new URL('/v1/renewal-info', this.#url).href;
    const call = { method: 'GET' as const, url, ca: this.#ca, cert: chain, key, timeoutMs };
    const info = await this.#withRetry(onRetry, () => callJson(call, renewalInfoSchema));
    return info.renewInSeconds === 0;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #withRetry<T>(onRetry: () => void, call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (attempt >= attemptsMax || !isBusy(error)) throw error;
        onRetry();
        const seconds = isFlotillaError(error) ? error.retryAfterSeconds : undefined;
        await delay(Math.min(10_000, seconds === undefined ? 100 * 2 ** attempt : seconds * 1000));
      }
    }
  }
}

function isBusy(error: unknown): boolean {
  if (!isFlotillaError(error)) return false;
  if (error.retryAfterSeconds !== undefined) return true;
  // The service closed a persistent connection at the same time: the request can be repeated.
  return (
    error.code === 'service-unreachable' && /ECONNRESET|EPIPE|hang up/.test(error.detail ?? '')
  );
}

function keyOf(pem: string): KeyObject {
  return createPrivateKey(pem);
}

interface IssuedParts {
  readonly certificate: string;
  readonly chain: string;
  readonly serial: string;
  readonly notAfter: string;
}

function checked(
  id: string,
  key: string,
  keyFingerprint: string,
  issued: IssuedParts,
): DeviceCredential {
  const certificate = new X509Certificate(issued.certificate);
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  if (fingerprintOf(spki) !== keyFingerprint) {
    throw new FlotillaError('sim-certificate-unusable', {
      detail: `${id}: the issued certificate is for another key`,
    });
  }
  return {
    id,
    key,
    chain: issued.chain,
    serial: issued.serial,
    notAfterMs: Date.parse(issued.notAfter),
    keyFingerprint,
  };
}
