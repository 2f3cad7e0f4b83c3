/**
 * Renews the identity in a folder, so that neither a second renewal at the same time nor a crash at any
 * moment can lock the device out.
 *
 * - One process at a time renews a folder; a lock file ensures it.
 * - The new certificate replaces the current one only after it has connected. From that connection on the
 *   service may reject the old certificate. Therefore the new identity is durable in
 *   `.renewal.json` before it connects, and the next renewal completes what a crash interrupted.
 *
 * @module
 */
import { createPrivateKey } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { lockFile } from '../../core/folder-lock.ts';
import { loadIdentity, saveIdentity, type IdentityContent } from '../../core/identity-folder.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import type { IdentityFiles } from '../../core/state-folder.ts';
import { readOrigin, serviceUrl, type EnrollmentOrigin } from './enrollment-origin.ts';
import { recordHookDue } from './hook-record.ts';
import { hostPort } from './host-port.ts';

export interface RenewalOptions {
  /** The folder, as `device enroll` wrote it. */
  readonly dir: string;
  /** The enrollment service (default: the one used for enrollment). */
  readonly url?: string;
  /** `host:port` of the broker to test the new certificate with (default: the one used for enrollment). */
  readonly mqtts?: string;
  /** Generates a new key. */
  readonly rekey?: boolean;
  readonly keyType: KeyType;
  /** Names of the device as a server (default: those of the current certificate). */
  readonly names?: readonly string[];
}

export interface RenewedIdentity {
  readonly device: string;
  readonly serial: string;
  readonly notAfter: string;
  readonly files: IdentityFiles;
}

const pendingName = '.renewal.json';

/** A new identity that has not replaced the current one yet. */
const pendingSchema = z.object({
  /** Fingerprint of the certificate that it replaces. */
  replaces: z.string(),
  key: z.string(),
  cert: z.string(),
  chain: z.string(),
  ca: z.string(),
});
type Pending = z.infer<typeof pendingSchema>;

/**
 * Renews the identity, or completes a renewal that was interrupted.
 *
 * @param isWanted decides under the lock, for the certificate that is current then (default: always)
 * @returns undefined when the renewal was not wanted
 * @throws FlotillaError `identity-in-use` while another process renews it, `identity-unreadable`, `usage`
 *   (no URL known), the refusals of the service and of the broker, `file-write-failed`
 */
export async function renewIdentity(
  options: RenewalOptions,
  isWanted: (certificate: CertificateFacts) => boolean = () => true,
): Promise<RenewedIdentity | undefined> {
  const isDue = async ({ cert }: IdentityContent): Promise<boolean> => {
    const facts = readCertificate(cert);
    // The service may already reject the current certificate when a renewal was interrupted.
    return isWanted(facts) || (await readPending(options.dir, facts)) !== undefined;
  };
  // Also before the lock, which cannot be taken in a folder that does not exist or is read-only.
  if (!(await isDue(await loadIdentity(options.dir)))) return undefined;
  const unlock = await lock(options.dir);
  try {
    const current = await loadIdentity(options.dir);
    if (!(await isDue(current))) return undefined;
    return await new IdentityRenewal(options, current).run();
  } finally {
    await unlock();
  }
}

async function lock(dir: string): Promise<() => Promise<void>> {
  try {
    return await lockFile(join(dir, '.renewal.lock'), { code: 'identity-in-use' });
  } catch (error) {
    if (isFlotillaError(error)) throw error;
    throw new FlotillaError('file-write-failed', { detail: dir, cause: error });
  }
}

class IdentityRenewal {
  readonly #options: RenewalOptions;
  readonly #current: IdentityContent;
  readonly #facts: CertificateFacts;
  readonly #id: string;
  readonly #pendingPath: string;
  readonly #url: string;
  readonly #origin: EnrollmentOrigin;

  constructor(options: RenewalOptions, current: IdentityContent) {
    const facts = readCertificate(current.cert);
    this.#options = options;
    this.#current = current;
    this.#facts = facts;
    if (!facts.commonName.ok) {
      throw new FlotillaError(facts.commonName.code, { detail: options.dir });
    }
    this.#id = facts.commonName.id;
    this.#pendingPath = join(options.dir, pendingName);
    this.#origin = readOrigin(current.enrollment);
    this.#url = serviceUrl(options.url, this.#origin);
  }

  async run(): Promise<RenewedIdentity> {
    const interrupted = await readPending(this.#options.dir, this.#facts);
    // If it cannot connect, for any reason, a normal renewal is tried. The file stays until one succeeds:
    // the service may have seen this certificate before, and then accepts no other.
    if (interrupted !== undefined && (await this.#connects(interrupted))) {
      return await this.#replaceWith(interrupted);
    }
    const pending = await this.#request();
    await writeFileAtomic(this.#pendingPath, JSON.stringify(pending));
    await this.#connect(pending);
    return await this.#replaceWith(pending);
  }

  /** Requests a successor from the service. */
  async #request(): Promise<Pending> {
    const { rekey = false, keyType, names = [] } = this.#options;
    const { key: oldKey, ca, chain } = this.#current;
    const key = rekey ? await generateKey(keyType) : createPrivateKey(oldKey);
    const csr = createCsr({ key, commonName: this.#id, names }).pem;
    const issued = await callJson(
      {
        method: 'POST',
        url: new URL('/v1/renew', this.#url).href,
        ...{ ca, cert: chain, key: oldKey, body: { csr } },
      },
      issuedSchema,
    );
    return {
      replaces: this.#facts.fingerprint,
      key: rekey ? privateKeyPem(key) : oldKey,
      cert: issued.certificate,
      chain: issued.chain,
      ca: issued.ca,
    };
  }

  /**
   * Connects with the new certificate: to the broker if it is known, otherwise to the service. The broker of
   * the enrollment may have moved since. If it cannot be reached, the service must accept the certificate.
   */
  async #connect(pending: Pending): Promise<void> {
    const { mqtts } = this.#options;
    if (mqtts !== undefined) return await this.#connectToBroker(mqtts, pending);
    if (this.#origin.mqtts !== undefined) {
      try {
        return await this.#connectToBroker(this.#origin.mqtts, pending);
      } catch (error) {
        if (!isFlotillaError(error, 'sim-target-unreachable')) throw error;
      }
    }
    await this.#connectToService(pending);
  }

  async #connectToBroker(mqtts: string, { key, chain, ca }: Pending): Promise<void> {
    const { probeConnection } = await import('../../device-sim/device/probe.ts');
    // Not the device's own client id: that would end its live connection and take its session.
    const clientId = `${this.#id}/probe`;
    await probeConnection({ ...hostPort(mqtts, 8883), ca, cert: chain, key, clientId });
  }

  async #connectToService({ key, chain, ca }: Pending): Promise<void> {
    await callJson(
      { method: 'GET', url: new URL('/v1/whoami', this.#url).href, ca, cert: chain, key },
      z.object({ id: z.literal(this.#id) }),
    );
  }

  async #connects(pending: Pending): Promise<boolean> {
    return this.#connect(pending).then(
      () => true,
      () => false,
    );
  }

  async #replaceWith({ key, cert, chain, ca }: Pending): Promise<RenewedIdentity> {
    const { dir } = this.#options;
    // Another program may have replaced the identity without the lock. Its certificate is newer.
    const { chain: chainNow } = await loadIdentity(dir);
    if (chainNow !== this.#current.chain) {
      throw new FlotillaError('identity-in-use', { detail: `${dir} was changed meanwhile` });
    }
    const { serial, notAfterMs, fingerprint } = readCertificate(cert);
    await recordHookDue(dir, fingerprint);
    const files = await saveIdentity(dir, { key, cert, chain, ca });
    await rm(this.#pendingPath, { force: true });
    return { device: this.#id, serial, notAfter: new Date(notAfterMs).toISOString(), files };
  }
}

/** @returns undefined when no renewal of this certificate was interrupted */
async function readPending(
  dir: string,
  { fingerprint }: CertificateFacts,
): Promise<Pending | undefined> {
  try {
    const text = await readFile(join(dir, pendingName), 'utf8');
    const pending = pendingSchema.parse(JSON.parse(text));
    return pending.replaces === fingerprint ? pending : undefined;
  } catch {
    return undefined;
  }
}
