/**
 * The broker's own certificate renews itself: when a third of its life is left, with a new key, at
 * the enrollment service, with the certificate it has. Until that works it tries again.
 *
 * @module
 */
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import { createCsr } from '../../certs/csr.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { saveIdentity } from '../../core/identity-folder.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { Logger } from '../../core/log.ts';
import { checkIdentity, type BrokerCertificate } from './broker-certificate.ts';

const retryMinMs = 30_000;
const retryMaxMs = 3_600_000;

export interface SelfRenewalDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly url: string;
  /** The identity folder of the broker. */
  readonly folder: string;
  readonly random: () => number;
  readonly current: () => BrokerCertificate;
  /** The files were written: put them in force. */
  renewed(): Promise<void>;
}

export class SelfRenewal {
  readonly #deps: SelfRenewalDeps;
  #cancel: Cancel | undefined;
  #working: Promise<void> = Promise.resolve();
  #failures = 0;
  #stopped = false;

  constructor(deps: SelfRenewalDeps) {
    this.#deps = deps;
  }

  /** Sets the timer for the certificate in force; call again when another one is. */
  schedule(): void {
    const { clock, current, random } = this.#deps;
    const { validFromDate, validToDate } = current().leaf;
    const dueMs = renewalDueMs(validFromDate.getTime(), validToDate.getTime());
    // Up to a tenth of the remaining time earlier, so that brokers do not all renew at once.
    const inMs = (dueMs - clock.now()) * (1 - random() / 10);
    this.#arm(Math.max(0, inMs));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#working;
  }

  #arm(inMs: number): void {
    this.#cancel?.();
    if (this.#stopped) return;
    this.#cancel = this.#deps.clock.after(inMs, () => {
      this.#working = this.#renew();
    });
  }

  async #renew(): Promise<void> {
    const { log } = this.#deps;
    try {
      await this.#exchange();
      this.#failures = 0;
      if (!this.#stopped) this.schedule();
    } catch (error) {
      const waitMs = Math.min(retryMaxMs, retryMinMs * 2 ** this.#failures++);
      log.error({ error: messageOf(error), nextTryMs: waitMs }, 'own certificate not renewed');
      this.#arm(waitMs);
    }
  }

  async #exchange(): Promise<void> {
    const { url, folder, current, log } = this.#deps;
    const old = current();
    const facts = readCertificate(old.leaf);
    if (!facts.commonName.ok) throw new Error('the certificate names no identity');
    const key = await generateKey('p256');
    const csr = createCsr({
      key,
      commonName: facts.commonName.id,
      names: [...facts.names.dns, ...facts.names.ip],
    });
    const issued = await callJson(
      {
        method: 'POST',
        url: new URL('/v1/renew', url).href,
        ca: old.ca,
        cert: old.chain,
        key: old.key,
        body: { csr: csr.pem },
      },
      issuedSchema,
    );
    const { chain, ca, certificate: cert } = issued;
    const keyPem = privateKeyPem(key);
    // What could not be used must not replace what can.
    checkIdentity({ key: keyPem, chain, ca });
    await saveIdentity(folder, { key: keyPem, cert, chain, ca });
    await this.#deps.renewed();
    log.info({ serial: issued.serial, notAfter: issued.notAfter }, 'own certificate renewed');
  }
}
