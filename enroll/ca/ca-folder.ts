/**
 * The CA on the disk: a root and its issuers, with encrypted keys.
 *
 * ```
 * ca/root.pem root.key.pem       the root; its key is needed only to make and to revoke issuers
 * ca/root.crl.pem                the root's list of revoked issuers
 * ca/issuer.pem issuer.key.pem   the issuer that signs now
 * ca/issuers/<id>/cert.pem key.pem   every issuer that is still trusted, including the current one
 * ```
 *
 * `issuer.pem` decides which issuer is current. Its key is found by its public key, also in `issuers/`, so
 * that a crash between the two files of a rollover leaves a working CA. An issuer's `<id>` is the first 16
 * digits of its fingerprint.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, createRoot } from '../../certs/authority.ts';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { decryptPrivateKey, encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKey, spkiOf } from '../../certs/key.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { markCreation, unmarkCreation } from './ca-creation-guard.ts';
import { readSecretText, readText } from './ca-files.ts';
import { openRoot, type CaDeps } from './root-authority.ts';
import { ensureRootCrl, readRootCrl } from './root-crl.ts';
import { dayMs } from '../../core/config/duration.ts';

const yearMs = 365.25 * dayMs;
export const rootValidityMs = 25 * yearMs;
export const issuerValidityMs = 12 * yearMs;

/** How many issuers may be trusted at a time, including the current one. */
export const issuersMax = 8;

export interface OpenedCa {
  readonly root: CertificateFacts;
  /** DER; undefined when there is none yet and the root's key is stored elsewhere. */
  readonly rootCrl: Buffer | undefined;
  readonly current: Authority;
  /** Every trusted issuer, the current one first, then the newest. */
  readonly issuers: readonly Authority[];
}

/** Whether the state folder contains a CA. */
export async function hasCa(state: StateFolder): Promise<boolean> {
  return (
    (await readText(state.ca.rootCert)) !== undefined &&
    (await readText(state.ca.issuerCert)) !== undefined
  );
}

/**
 * Creates the root and the first issuer. The caller has checked with `assertCaCreatable` that there is no
 * other CA. An interrupted creation is completed with the keys that it wrote: no key is ever replaced.
 *
 * @throws FlotillaError `root-key-missing`, `ca-passphrase-wrong`, `file-write-failed`
 */
export async function createCa(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<void> {
  await makeSecretFolder(state.ca.folder);
  if ((await readText(state.ca.rootCert)) === undefined) {
    await markCreation(state);
    const kept = await readSecretText(state.ca.rootKey);
    const key =
      kept === undefined ? await generateKey('p256') : decryptPrivateKey(kept, passphrase);
    const root = createRoot({
      commonName: `Flotilla Root CA ${suffixOf(key)}`,
      validityMs: rootValidityMs,
      key,
      clock: deps.clock,
    });
    if (kept === undefined) {
      await writeFileAtomic(state.ca.rootKey, encryptPrivateKey(key, passphrase));
    }
    await writeFileAtomic(state.ca.rootCert, root.pem, 0o644);
  }
  await createIssuer(state, passphrase, deps);
  await ensureRootCrl(state, passphrase, deps);
  await unmarkCreation(state);
}

/**
 * Creates an issuer that the root signs, and stores it with the others. It signs nothing until {@link
 * activateIssuer}; the first one is current at once.
 *
 * @throws FlotillaError `ca-missing`, `root-key-missing` when the root's key was removed
 */
export async function createIssuer(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<CertificateFacts> {
  const root = await openRoot(state, passphrase, deps);
  const key = await generateKey('p256');
  const year = new Date(deps.clock.now()).getUTCFullYear();
  const issued = root.issue({
    spki: spkiOf(key),
    profile: 'issuer',
    commonName: `Flotilla Issuing CA ${year}-${suffixOf(key)}`,
    validityMs: issuerValidityMs,
  });
  const folder = issuerFolder(state, issued.fingerprint);
  await makeSecretFolder(join(state.ca.folder, 'issuers'));
  await makeSecretFolder(folder);
  const encrypted = encryptPrivateKey(key, passphrase);
  await writeFileAtomic(join(folder, 'key.pem'), encrypted);
  await writeFileAtomic(join(folder, 'cert.pem'), issued.pem, 0o644);
  if ((await readText(state.ca.issuerCert)) === undefined) {
    await writeFileAtomic(state.ca.issuerKey, encrypted);
    await writeFileAtomic(state.ca.issuerCert, issued.pem, 0o644);
  }
  return readCertificate(issued.pem);
}

/** Makes an issuer the current one. @throws FlotillaError `issuer-not-found` */
export async function activateIssuer(state: StateFolder, fingerprint: string): Promise<void> {
  const folder = issuerFolder(state, fingerprint);
  const [cert, key] = await Promise.all([
    readText(join(folder, 'cert.pem')),
    readText(join(folder, 'key.pem')),
  ]);
  if (cert === undefined || key === undefined) {
    throw new FlotillaError('issuer-not-found', { detail: fingerprint });
  }
  await keepIssuer(state);
  await writeFileAtomic(state.ca.issuerCert, cert, 0o644);
  await writeFileAtomic(state.ca.issuerKey, key);
}

/** Stores the current issuer with the others if it is not there: an operator may have supplied it. */
async function keepIssuer(state: StateFolder): Promise<void> {
  const [cert, key] = await Promise.all([
    readText(state.ca.issuerCert),
    readText(state.ca.issuerKey),
  ]);
  if (cert === undefined || key === undefined) return;
  const folder = issuerFolder(state, readCertificate(cert).fingerprint);
  if ((await readText(join(folder, 'cert.pem'))) !== undefined) return;
  await makeSecretFolder(join(state.ca.folder, 'issuers'));
  await makeSecretFolder(folder);
  await writeFileAtomic(join(folder, 'key.pem'), key);
  await writeFileAtomic(join(folder, 'cert.pem'), cert, 0o644);
}

/** Deletes an issuer that is not the current one. */
export async function removeIssuer(state: StateFolder, fingerprint: string): Promise<void> {
  const folder = issuerFolder(state, fingerprint);
  // The certificate first: a folder without one is ignored.
  await rm(join(folder, 'cert.pem'), { force: true });
  await rm(folder, { recursive: true, force: true });
}

/**
 * Opens the CA.
 *
 * @throws FlotillaError `ca-missing`, `ca-chain-broken`, `ca-passphrase-wrong`, `ca-key-unreadable`,
 *   `file-too-open`
 */
export async function openCa(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<OpenedCa> {
  const rootPem = await readText(state.ca.rootCert);
  const currentPem = await readText(state.ca.issuerCert);
  if (rootPem === undefined) throw new FlotillaError('ca-missing', { detail: state.ca.rootCert });
  if (currentPem === undefined) {
    throw new FlotillaError('ca-missing', { detail: state.ca.issuerCert });
  }
  const pems = new Set([currentPem]);
  const keyPems = [await readSecretText(state.ca.issuerKey)];
  for (const name of await folders(join(state.ca.folder, 'issuers'))) {
    const folder = join(state.ca.folder, 'issuers', name);
    const pem = await readText(join(folder, 'cert.pem'));
    if (pem !== undefined) pems.add(pem);
    keyPems.push(await readSecretText(join(folder, 'key.pem')));
  }
  const keys = new Map<string, KeyObject>();
  for (const pem of new Set(keyPems)) {
    if (pem === undefined) continue;
    const key = decryptPrivateKey(pem, passphrase);
    keys.set(spkiOf(key).toString('hex'), key);
  }
  const root = readCertificate(rootPem);
  const authorities = [...pems].map((pem) => {
    const certificate = readCertificate(pem);
    assertSignedBy(root, certificate);
    const key = keys.get(certificate.spki.toString('hex'));
    if (key === undefined) {
      throw new FlotillaError('ca-missing', { detail: `the key of ${certificate.fingerprint}` });
    }
    const urls = deps.urls?.(certificate.fingerprint) ?? {};
    return new Authority({ key, certificate: pem, clock: deps.clock, urls });
  });
  const [current, ...others] = authorities;
  if (current === undefined) throw new FlotillaError('ca-missing');
  others.sort((one, other) => other.certificate.notBeforeMs - one.certificate.notBeforeMs);
  const rootCrl = (await readRootCrl(state, root))?.der;
  return { root, rootCrl, current, issuers: [current, ...others] };
}

/** Every client would refuse certificates of an issuer that the root has not signed. */
function assertSignedBy(root: CertificateFacts, issuer: CertificateFacts): void {
  if (issuer.x509.checkIssued(root.x509) && issuer.x509.verify(root.x509.publicKey)) return;
  throw new FlotillaError('ca-chain-broken', {
    detail: `${issuer.fingerprint} is not signed by ${root.fingerprint}`,
  });
}

/**
 * A client that trusts two installations must be able to distinguish their CAs by name (RFC 5280, 4.1.2.4).
 */
function suffixOf(key: KeyObject): string {
  return spkiOf(key).subarray(-4).toString('hex');
}

function issuerFolder(state: StateFolder, fingerprint: string): string {
  const digits = /^sha256:([0-9a-f]{16})[0-9a-f]{48}$/.exec(fingerprint)?.[1];
  if (digits === undefined) throw new FlotillaError('issuer-not-found', { detail: fingerprint });
  return join(state.ca.folder, 'issuers', digits);
}

async function folders(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch {
    return [];
  }
}
