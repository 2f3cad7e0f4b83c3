/**
 * Renews a certificate of the broker: requests a new one, with a new key, from the enrollment service
 * when a third of the lifetime is left. Retries until it succeeds. The same obtains the RSA certificate of the broker,
 * which is the successor of its identity with a key of another type.
 *
 * @module
 */
import { generateKey, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { createCsr } from '../../certs/csr.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import { watchClockJumps } from '../../core/clock-jump.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { saveIdentity } from '../../core/identity-folder.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { Logger } from '../../core/log.ts';
import { checkIdentity, type BrokerCertificate } from './broker-certificate.ts';

const retryMinMs = 30_000;
const retryMaxMs = 3_600_000;
/** An outdated certificate is replaced at once, but for the same reason not more often than this, in ms. */
const sameReasonEveryMs = 600_000;

export interface SelfRenewalDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly url: string;
  /** The folder that gets the certificate. */
  readonly folder: string;
  readonly keyType: KeyType;
  readonly random: () => number;
  /** The identity of the broker: it authenticates the request, and the new certificate gets its names. */
  readonly credential: () => BrokerCertificate;
  /** The certificate to renew; undefined when there is none yet. */
  readonly current: () => BrokerCertificate | undefined;
  /** Why the certificate is to be replaced at once, for example because its issuer was withdrawn. */
  readonly outdated: () => string | undefined;
  /** The new files were written. */
  renewed(): Promise<void>;
}

export class SelfRenewal {
  readonly #deps: SelfRenewalDeps;
  #cancel: Cancel | undefined;
  readonly #unwatchClock: Cancel;
  #renewing: Promise<void> = Promise.resolve();
  #failures = 0;
  #outdated: { readonly reason: string; readonly atMs: number } | undefined;
  #stopped = false;

  constructor(deps: SelfRenewalDeps) {
    this.#deps = deps;
    this.#unwatchClock = watchClockJumps(deps.clock, (jumpMs) => {
      deps.log.warn({ jumpMs }, 'the clock was set: the renewal of the certificate follows');
      this.#failures = 0;
      this.#scheduleAfterJump();
    });
  }

  /** Sets the timer for the certificate in force. Call it again when the certificate changes. */
  schedule(): void {
    const { clock, credential, current, random, outdated } = this.#deps;
    const reason = outdated();
    if (reason !== undefined) {
      const nowMs = clock.monotonicMs();
      const last = this.#outdated;
      const waitMs = last?.reason === reason ? last.atMs + sameReasonEveryMs - nowMs : 0;
      if (waitMs <= 0) this.#outdated = { reason, atMs: nowMs };
      this.#setTimer(Math.max(0, waitMs));
      return;
    }
    const { validFromDate, validToDate } = (current() ?? credential()).leaf;
    const dueMs = renewalDueMs(validFromDate.getTime(), validToDate.getTime());
    // Up to a tenth of the remaining time earlier, so that brokers do not all renew at once.
    const inMs = (dueMs - clock.now()) * (1 - random() / 10);
    this.#setTimer(Math.max(0, inMs));
  }

  /** A certificate of the time before a clock was set back is not valid yet, and is replaced at once. */
  #scheduleAfterJump(): void {
    const { clock, credential, current } = this.#deps;
    const { leaf } = current() ?? credential();
    if (clock.now() < leaf.validFromDate.getTime()) this.#setTimer(0);
    else this.schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatchClock();
    this.#cancel?.();
    await this.#renewing;
  }

  #setTimer(inMs: number): void {
    this.#cancel?.();
    if (this.#stopped) return;
    this.#cancel = this.#deps.clock.after(inMs, () => {
      this.#renewing = this.#renewing.then(() => this.#renew());
    });
  }

  async #renew(): Promise<void> {
    const { log } = this.#deps;
    try {
      await this.#requestCertificate();
      this.#failures = 0;
      if (!this.#stopped) this.schedule();
    } catch (err) {
      this.#outdated = undefined;
      const waitMs = Math.min(retryMaxMs, retryMinMs * 2 ** this.#failures++);
      log.error({ err, retryInMs: waitMs }, 'could not renew the certificate of the broker');
      this.#setTimer(waitMs);
    }
  }

  async #requestCertificate(): Promise<void> {
    const { url, folder, keyType, credential, log } = this.#deps;
    const previous = credential();
    const facts = readCertificate(previous.leaf);
    if (!facts.commonName.ok) throw new Error('the certificate contains no identity');
    const key = await generateKey(keyType);
    const csr = createCsr({
      key,
      commonName: facts.commonName.id,
      names: [...facts.names.dns, ...facts.names.ip],
    });
    const issued = await callJson(
      {
        method: 'POST',
        url: new URL('/v1/renew', url).href,
        ca: previous.ca,
        cert: previous.chain,
        key: previous.key,
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
    log.info(
      { serial: issued.serial, notAfter: issued.notAfter, keyType },
      'certificate of the broker renewed',
    );
  }
}
