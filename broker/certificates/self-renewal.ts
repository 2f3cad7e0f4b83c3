/**
 * The broker's own certificate renews itself: when a third of its life is left, with a new key, at
 * the enrollment service, with the certificate it has. Until that works it tries again.
 *
 * @module
 */
import { rename } from 'node:fs/promises';
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import { createCsr } from '../../certs/csr.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { syncFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import { issuedSchema, type Issued } from '../../core/protocol/enrollment-api.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { Logger } from '../../core/log.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { checkIdentity, nextKeyPath, type BrokerCertificate } from './broker-certificate.ts';

/** The part of its life that is left when it renews. */
export const renewAtPart = 1 / 3;
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
    const lifeMs = validToDate.getTime() - validFromDate.getTime();
    const dueMs = validToDate.getTime() - lifeMs * renewAtPart;
    // Up to a tenth of the rest earlier, so that brokers do not come at once.
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
    await write(folder, privateKeyPem(key), issued);
    await this.#deps.renewed();
    log.info({ serial: issued.serial, notAfter: issued.notAfter }, 'own certificate renewed');
  }
}

/**
 * Checked as a whole first. The new key lies beside the old one until the chain is in place: a crash
 * at any moment leaves a key and a chain that belong together.
 */
async function write(folder: string, key: string, issued: Issued): Promise<void> {
  checkIdentity({ key, chain: issued.chain, ca: issued.ca });
  const files = identityFiles(folder);
  await writeFileAtomic(files.ca, issued.ca, 0o644);
  await writeFileAtomic(nextKeyPath(folder), key);
  await writeFileAtomic(files.chain, issued.chain, 0o644);
  await writeFileAtomic(files.cert, issued.certificate, 0o644);
  await rename(nextKeyPath(folder), files.key);
  await syncFolder(folder);
}
