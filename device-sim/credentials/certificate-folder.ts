/**
 * Reads keys and certificates for any broker from a folder. These files are accepted, in this order:
 *
 * ```
 * {id}/key.pem  {id}/chain.pem (or cert.pem)     written by `device enroll --out` and `sim prepare`
 * {id}.key      {id}.crt (or {id}.pem)           written by many scripts
 * key.pem       chain.pem (or cert.pem)          one identity for all devices
 * ca.pem (or ca.crt)                             trusted certificates
 * observer/key.pem  observer/chain.pem           for the simulator's own subscribers
 * ```
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fingerprintOf, spkiOf } from '../../certs/key.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { DialIdentity } from '../device/dial.ts';
import type { DeviceCredential } from '../device/credential.ts';

/** The name of the folder that holds the observers' certificate. */
export const observerFolder = 'observer';

/** The trusted certificates. @throws FlotillaError `sim-certificate-missing` */
export async function readFolderCa(folder: string): Promise<string> {
  const ca = (await text(join(folder, 'ca.pem'))) ?? (await text(join(folder, 'ca.crt')));
  if (ca !== undefined) return ca;
  throw new FlotillaError('sim-certificate-missing', { detail: `${folder}/ca.pem` });
}

/**
 * The credential of every device.
 *
 * @param nowMs wall clock, to reject expired certificates
 * @throws FlotillaError `sim-certificate-missing`, `sim-certificate-unusable`: naming the first device
 */
export async function readFolderCredentials(
  folder: string,
  ids: readonly string[],
  nowMs: number,
): Promise<Map<string, DeviceCredential>> {
  const result = new Map<string, DeviceCredential>();
  let common: DialIdentity | undefined;
  for (const id of ids) {
    let identity = await identityIn(folder, id);
    identity ??= common ??= await pair(folder, 'key.pem', ['chain.pem', 'cert.pem']);
    if (identity === undefined) {
      throw new FlotillaError('sim-certificate-missing', { detail: `${id} in ${folder}` });
    }
    result.set(id, credentialOf(id, identity, nowMs));
  }
  return result;
}

/** The identity of the observers, or the one of all devices; undefined when there is neither. */
export async function readFolderObserver(
  folder: string,
): Promise<(DialIdentity & { readonly name: string | undefined }) | undefined> {
  const own = await identityIn(folder, observerFolder);
  if (own !== undefined) return { ...own, name: commonName(own.chain) };
  const common = await pair(folder, 'key.pem', ['chain.pem', 'cert.pem']);
  return common === undefined ? undefined : { ...common, name: undefined };
}

async function identityIn(folder: string, id: string): Promise<DialIdentity | undefined> {
  return (
    (await pair(join(folder, id), 'key.pem', ['chain.pem', 'cert.pem'])) ??
    (await pair(folder, `${id}.key`, [`${id}.crt`, `${id}.pem`]))
  );
}

async function pair(
  folder: string,
  keyName: string,
  chainNames: readonly string[],
): Promise<DialIdentity | undefined> {
  const key = await text(join(folder, keyName));
  if (key === undefined) return undefined;
  for (const name of chainNames) {
    const chain = await text(join(folder, name));
    if (chain !== undefined) return { key, chain };
  }
  return undefined;
}

function credentialOf(id: string, { key, chain }: DialIdentity, nowMs: number): DeviceCredential {
  const unusable = (detail: string, cause?: unknown): FlotillaError =>
    new FlotillaError('sim-certificate-unusable', { detail: `${id}: ${detail}`, cause });
  let leaf: X509Certificate;
  let keyFingerprint: string;
  try {
    leaf = new X509Certificate(chain);
    const privateKey = createPrivateKey(key);
    if (!leaf.checkPrivateKey(privateKey)) throw unusable('the key does not match the certificate');
    keyFingerprint = fingerprintOf(spkiOf(privateKey));
  } catch (error) {
    throw error instanceof FlotillaError ? error : unusable(messageOf(error), error);
  }
  const notAfterMs = leaf.validToDate.getTime();
  if (notAfterMs <= nowMs)
    throw unusable(`the certificate expired at ${leaf.validToDate.toISOString()}`);
  return { id, key, chain, serial: leaf.serialNumber.toLowerCase(), notAfterMs, keyFingerprint };
}

function commonName(chain: string): string | undefined {
  return /^CN=(.+)$/m.exec(new X509Certificate(chain).subject)?.[1];
}

async function text(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
