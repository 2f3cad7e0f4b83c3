/**
 * An external CA that signs the certificates of devices, over EST (RFC 7030, 4.2): this service is its registration
 * authority. It has decided about the request before it sends it, with its own credential, and it checks the answer.
 *
 * Renewals are requested with `simpleenroll` as well, because `simplereenroll` needs the key of the device. The CA
 * publishes the revocation lists of its issuer; EST has no revocation.
 *
 * @module
 */
import { Agent } from 'node:https';
import { rootCertificates } from 'node:tls';
import type { IssuedCertificate } from '../../certs/authority.ts';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import type { SubjectNames } from '../../certs/subject-names.ts';
import { amountText } from '../../core/amount-text.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { readSetting } from '../../core/config/setting-file.ts';
import { FlotillaError, isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { callHttps, type Call, type HttpsResponse } from '../../core/protocol/https-client.ts';
import { externalAnswerFault } from './external-answer.ts';

/** The largest answer that is read, in bytes: one certificate, perhaps with its chain, as base64. */
const answerMaxBytes = 128 * 1024;
const certificatesMax = 8;
/** Requests for one device that wait at the same time: the CA may be slow, and others need it too. */
const openPerDeviceMax = 2;
/** When a client should try again, if the CA does not say it, in s. */
const retrySeconds = { usual: 30, max: 3600 } as const;

export interface ExternalRequest {
  readonly csr: {
    readonly der: Buffer;
    readonly spki: Buffer;
    readonly commonName: string | undefined;
  };
  readonly device: string;
  readonly names: SubjectNames;
  readonly validityMs: number;
  /** The issuer that must have signed the certificate. */
  readonly issuer: CertificateFacts;
}

type Credentials = Pick<Call, 'ca' | 'cert' | 'key' | 'headers'>;

export class ExternalCa {
  readonly #settings: NonNullable<Config['enroll']['externalCa']>;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #agent: Agent;
  #open = 0;
  readonly #openOf = new Map<string, number>();

  private constructor(
    settings: NonNullable<Config['enroll']['externalCa']>,
    credentials: Credentials,
    clock: Clock,
  ) {
    this.#settings = settings;
    this.#credentials = credentials;
    this.#clock = clock;
    this.#agent = new Agent({ keepAlive: true, maxSockets: settings.requestsMax });
  }

  /**
   * Reads the files of the configuration.
   *
   * @returns undefined when there is no external CA
   * @throws FlotillaError `config-unreadable`, `file-too-open`
   */
  static async open({ enroll }: Config, clock: Clock): Promise<ExternalCa | undefined> {
    const settings = enroll.externalCa;
    if (settings === undefined) return undefined;
    const { caFile, certificateFile, keyFile, credentialsFile } = settings;
    const read = async (path: string | undefined, kind: 'secret' | 'public') =>
      path === undefined ? undefined : readSetting(path, kind);
    const ca = (await read(caFile, 'public')) ?? rootCertificates.join('\n');
    const cert = await read(certificateFile, 'public');
    const key = await read(keyFile, 'secret');
    const password = (await read(credentialsFile, 'secret'))?.trim();
    return new ExternalCa(
      settings,
      {
        ca,
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        headers:
          password === undefined
            ? {}
            : { authorization: `Basic ${Buffer.from(password).toString('base64')}` },
      },
      clock,
    );
  }

  /**
   * Lets the CA sign a request of a device, and checks what it returns.
   *
   * @throws FlotillaError `csr-name-mismatch` when the request does not have the name of the device,
   *   `external-ca-unavailable` (also when it is too slow, or waits for a person), `external-ca-refused`,
   *   `external-ca-answer-refused`
   */
  async issue(request: ExternalRequest): Promise<IssuedCertificate> {
    const { csr, device } = request;
    // The CA takes the name from the request, which only the device can change.
    if (csr.commonName !== device) {
      throw new FlotillaError('csr-name-mismatch', {
        detail: `expected the common name ${device}`,
      });
    }
    if (this.#open >= this.#settings.requestsMax) {
      throw unavailable(
        `${amountText(this.#open, 'request is', 'requests are')} waiting for it`,
        1,
      );
    }
    const own = this.#openOf.get(device) ?? 0;
    if (own >= openPerDeviceMax) throw unavailable(`${own} requests of ${device} wait for it`, 1);
    this.#open++;
    this.#openOf.set(device, own + 1);
    try {
      return this.#checked(await this.#call(csr.der), request);
    } finally {
      this.#open--;
      const left = (this.#openOf.get(device) ?? 1) - 1;
      if (left === 0) this.#openOf.delete(device);
      else this.#openOf.set(device, left);
    }
  }

  async #call(csr: Buffer): Promise<HttpsResponse> {
    const { url, timeout } = this.#settings;
    const { headers, ...tls } = this.#credentials;
    try {
      return await callHttps({
        ...tls,
        method: 'POST',
        url: `${url.replace(/\/$/, '')}/simpleenroll`,
        headers: {
          ...headers,
          'content-type': 'application/pkcs10',
          'content-transfer-encoding': 'base64',
          accept: 'application/pkcs7-mime',
        },
        // RFC 2045, 6.8: lines of at most 76 characters.
        body: csr.toString('base64').replace(/.{76}/g, '$&\r\n'),
        server: 'any',
        timeoutMs: timeout,
        answerMaxBytes,
        agent: this.#agent,
      });
    } catch (error) {
      const detail = isFlotillaError(error)
        ? `${error.code}: ${error.detail ?? ''}`
        : messageOf(error);
      throw unavailable(detail, retrySeconds.usual, error);
    }
  }

  #checked({ status, headers, body }: HttpsResponse, request: ExternalRequest): IssuedCertificate {
    const given = Number(/^\d{1,9}$/.exec(headers['retry-after'] ?? '')?.[0] ?? retrySeconds.usual);
    const retryAfter = Math.min(given, retrySeconds.max);
    if (status === 202) throw unavailable('the request waits for a decision there', retryAfter);
    if (status === 429 || status >= 500) throw unavailable(`HTTP status ${status}`, retryAfter);
    if (status !== 200) {
      throw new FlotillaError('external-ca-refused', { detail: `HTTP status ${status}` });
    }
    const found = certificatesOf(body);
    const { csr, device, names, validityMs, issuer } = request;
    // RFC 7030, 4.2.3: only the issued certificate. Some CAs add its chain.
    const certificate = found.find(({ spki }) => spki.equals(csr.spki)) ?? found[0];
    if (certificate === undefined) throw refusedAnswer('it contains no certificate');
    const { spki } = csr;
    const nowMs = this.#clock.now();
    const fault = externalAnswerFault(certificate, {
      device,
      spki,
      names,
      validityMs,
      issuer,
      nowMs,
    });
    if (fault !== undefined) throw refusedAnswer(`${fault}, serial number ${certificate.serial}`);
    const { der, pem, serial, fingerprint, keyFingerprint, notBeforeMs, notAfterMs } = certificate;
    return { der, pem, serial, fingerprint, keyFingerprint, notBeforeMs, notAfterMs };
  }
}

function certificatesOf(body: Buffer): CertificateFacts[] {
  try {
    const der = Buffer.from(body.toString('latin1'), 'base64');
    return parseCertsOnly(der)
      .slice(0, certificatesMax)
      .map((one) => readCertificate(one));
  } catch (error) {
    throw refusedAnswer(messageOf(error), error);
  }
}

function unavailable(detail: string, retryAfterSeconds: number, cause?: unknown): FlotillaError {
  return new FlotillaError('external-ca-unavailable', {
    detail,
    retryAfterSeconds,
    ...(cause === undefined ? {} : { cause }),
  });
}

function refusedAnswer(detail: string, cause?: unknown): FlotillaError {
  return new FlotillaError('external-ca-answer-refused', {
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
