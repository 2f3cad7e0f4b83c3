/**
 * The administrator's identity, out of the state folder of a service that may be renewing it just now.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { identityFiles } from '../../core/state-folder.ts';

export interface Administrator {
  /** PEM: leaf, then issuer. */
  readonly cert: string;
  readonly key: string;
  /** PEM: root, then issuers. */
  readonly ca: string;
}

const looksMax = 60;
const lookPeriodMs = 50;

/**
 * Reads the files. The service writes them one after the other: a key beside the certificate of
 * another one is looked at again for three seconds, and then given as it is.
 *
 * @throws Error when a file cannot be read
 */
export async function readAdministrator(folder: string): Promise<Administrator> {
  const files = identityFiles(folder);
  for (let look = 1; ; look++) {
    const [cert, key, ca] = await Promise.all([
      readFile(files.chain, 'utf8'),
      readFile(files.key, 'utf8'),
      readFile(files.ca, 'utf8'),
    ]);
    if (look === looksMax || belongTogether(cert, key)) return { cert, key, ca };
    await delay(lookPeriodMs);
  }
}

function belongTogether(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
