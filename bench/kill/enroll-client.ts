/**
 * A device that gets a token, enrolls, perhaps renews and is perhaps revoked, and repeats each request until it has a
 * response. It records exactly what was acknowledged.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import {
  issuedSchema,
  revokedSchema,
  tokenSchema,
  type Issued,
} from '../../core/protocol/enrollment-api.ts';
import { callHttps, type Call, type HttpsResponse } from '../../core/protocol/https-client.ts';

const retryMs = 50;
const requestMaxMs = 10_000;

/** What one device was acknowledged. */
export interface DeviceLedger {
  readonly id: string;
  token: string | undefined;
  /** The serial numbers of its certificates, in the order in which they were issued. */
  readonly serials: string[];
  /** Renewals that may have been committed without a response. */
  renewalsUnanswered: number;
  revoked: boolean;
}

export interface EnrollTarget {
  readonly url: string;
  /** The administrator. */
  readonly admin: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Called for each response that is neither a success nor "try again". */
  readonly unexpected: (what: string) => void;
}

export class EnrollClient {
  readonly #target: EnrollTarget;
  readonly ledger: DeviceLedger;

  constructor(target: EnrollTarget, id: string) {
    this.#target = target;
    this.ledger = {
      id,
      token: undefined,
      serials: [],
      renewalsUnanswered: 0,
      revoked: false,
    };
  }

  /** @param renews whether it renews, with another key; @param isRevoked whether an administrator revokes it then */
  async run(renews: boolean, isRevoked: boolean): Promise<void> {
    const { url, admin } = this.#target;
    const { id } = this.ledger;
    const body = { device: id };
    const token = await this.#call({ method: 'POST', url: `${url}/v1/tokens`, ...admin, body });
    if (token === undefined) return;
    this.ledger.token = tokenSchema.parse(parsed(token)).token;
    const key = await generateKey('p256');
    const csr = createCsr({ key, commonName: id }).pem;
    const issued = await this.#issued({
      ...{ method: 'POST', url: `${url}/v1/enroll`, ca: admin.ca },
      ...{ bearer: this.ledger.token, body: { device: id, csr } },
    });
    if (issued === undefined) return;
    if (renews) await this.#renew(issued, privateKeyPem(key));
    if (!isRevoked) return;
    const revoke = { reason: 'keyCompromise' };
    const path = `${url}/v1/devices/${id}/revoke`;
    const revoked = await this.#call({ method: 'POST', url: path, ...admin, body: revoke });
    if (revoked === undefined) return;
    revokedSchema.parse(parsed(revoked));
    this.ledger.revoked = true;
  }

  /** Uses the token with another key. @returns whether that gave a certificate, which it must not */
  async stealWithToken(): Promise<boolean> {
    const { id, token } = this.ledger;
    if (token === undefined) return false;
    const csr = createCsr({ key: await generateKey('p256'), commonName: id }).pem;
    const { url, admin } = this.#target;
    const answer = await callHttps({
      ...{ method: 'POST', url: `${url}/v1/enroll`, ca: admin.ca, bearer: token },
      ...{ body: { device: id, csr } },
    });
    return answer.status < 300;
  }

  async #renew(issued: Issued, keyPem: string): Promise<void> {
    const { url, admin } = this.#target;
    const csr = createCsr({ key: await generateKey('p256'), commonName: issued.device }).pem;
    await this.#issued(
      {
        ...{ method: 'POST', url: `${url}/v1/renew`, ca: admin.ca, body: { csr } },
        ...{ cert: issued.chain, key: keyPem },
      },
      () => this.ledger.renewalsUnanswered++,
    );
  }

  async #issued(call: Call, unanswered?: () => void): Promise<Issued | undefined> {
    const answer = await this.#call(call, unanswered);
    if (answer === undefined) return undefined;
    const issued = issuedSchema.parse(parsed(answer));
    this.ledger.serials.push(issued.serial);
    return issued;
  }

  /** Repeats a request until it succeeds. @returns undefined if it was refused */
  async #call(call: Call, unanswered?: () => void): Promise<HttpsResponse | undefined> {
    for (;;) {
      const answer = await callHttps({ ...call, timeoutMs: requestMaxMs }).catch(() => undefined);
      if (answer !== undefined && answer.status < 300) return answer;
      if (answer === undefined) unanswered?.();
      else if (answer.status !== 429 && answer.status !== 503) {
        this.#target.unexpected(`${call.url}: ${answer.status} ${answer.body.toString()}`);
        return undefined;
      }
      await pause(retryMs);
    }
  }
}

function parsed(answer: HttpsResponse): unknown {
  return JSON.parse(answer.body.toString());
}
