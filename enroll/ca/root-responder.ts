/**
 * The certificates that answer OCSP requests about issuers. RFC 6960, 4.2.2.2: the CA that has signed the certificate in
 * question, here the root, must have signed the certificate of the responder itself.
 *
 * The key of the root may be stored elsewhere, so that the certificate cannot be made at each start, as those of the
 * issuers are. It is valid for years, made whenever the root signs an issuer, and renewed at a start while the key of
 * the root is there.
 *
 * ```
 * ca/ocsp/<id>/   key.pem (encrypted), cert.pem; <id>: the first 16 digits of the fingerprint of the root
 * ```
 *
 * The key stays when the certificate is renewed: a crash between two files leaves a pair that belongs together.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Authority } from '../../certs/authority.ts';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { createCsr, parseCsr } from '../../certs/csr.ts';
import { decryptPrivateKey, encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKey, spkiOf } from '../../certs/key.ts';
import type { OcspResponder } from '../../certs/ocsp.ts';
import { oids } from '../../certs/oids.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { dayMs } from '../../core/config/duration.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readSecretText, readText } from './ca-files.ts';
import { foldersIn, issuerDigits, readCaInventory } from './ca-inventory.ts';
import { openRoot, type CaDeps } from './root-authority.ts';

const validityMs = 5 * 365.25 * dayMs;

interface ResponderFiles {
  readonly folder: string;
  readonly key: string;
  readonly cert: string;
}

function filesOf({ ca }: StateFolder, root: string): ResponderFiles {
  const folder = join(ca.rootOcsp, issuerDigits(root));
  return { folder, key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
}

/** The files with keys of responders. */
export async function responderKeyFiles({ ca }: StateFolder): Promise<string[]> {
  return (await foldersIn(ca.rootOcsp)).map((folder) => join(folder, 'key.pem'));
}

/** The certificate of the responder of a root; undefined when there is none, or it cannot be used. */
export async function readRootResponder(
  state: StateFolder,
  root: CertificateFacts,
): Promise<CertificateFacts | undefined> {
  const [pem] = splitPem((await readText(filesOf(state, root.fingerprint).cert)) ?? '');
  try {
    const found = pem === undefined ? undefined : readCertificate(pem);
    return found !== undefined && isResponderOf(found, root) ? found : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Opens the responder of a root. Decrypting its key blocks the event loop for 0.1 s.
 *
 * @returns undefined when there is none
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-key-unreadable`, `file-too-open`
 */
export async function openRootResponder(
  state: StateFolder,
  passphrase: string,
  root: CertificateFacts,
): Promise<OcspResponder | undefined> {
  const certificate = await readRootResponder(state, root);
  const key = await readKey(state, passphrase, root.fingerprint);
  if (certificate === undefined || key === undefined) return undefined;
  return spkiOf(key).equals(certificate.spki) ? { issuer: root, certificate, key } : undefined;
}

/**
 * Signs the certificate of a root's responder, if there is none or its renewal is due.
 *
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-token-failed`, `file-write-failed`
 */
export async function ensureResponderOf(
  state: StateFolder,
  passphrase: string,
  root: Authority,
  deps: CaDeps,
): Promise<void> {
  const known = await readRootResponder(state, root.certificate);
  if (known === undefined || isDue(known, deps)) await renewResponderOf(state, passphrase, root);
}

/** Signs the certificate of a root's responder again. @throws FlotillaError as {@link ensureResponderOf} */
export async function renewResponderOf(
  state: StateFolder,
  passphrase: string,
  root: Authority,
): Promise<void> {
  const { fingerprint } = root.certificate;
  const key = await ensureKey(state, passphrase, fingerprint);
  const { pem } = await signResponder(root, spkiOf(key));
  await writeFileAtomic(filesOf(state, fingerprint).cert, pem, 0o644);
}

/**
 * Signs the certificates that are missing or due, for the roots whose key is here.
 *
 * @throws FlotillaError `root-key-missing` for a root whose key is elsewhere; otherwise as {@link ensureResponderOf}
 */
export async function ensureRootResponders(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<void> {
  const now = deps.clock.now();
  const missing: Error[] = [];
  for (const root of (await readCaInventory(state)).roots) {
    const known = await readRootResponder(state, root);
    // The root before its beginning, or after its end, signs nothing.
    const isAlive = root.notBeforeMs <= now && now < root.notAfterMs;
    if (!isAlive || (known !== undefined && !isDue(known, deps))) continue;
    try {
      const authority = await openRoot(state, passphrase, deps, root);
      await renewResponderOf(state, passphrase, authority);
    } catch (error) {
      missing.push(error instanceof Error ? error : new Error(String(error)));
    }
  }
  const [first] = missing;
  if (first !== undefined) throw first;
}

/**
 * Makes a request for the responder of the current root, whose key is elsewhere.
 *
 * @returns PEM, for {@link signResponderRequest} on the machine of the root
 * @throws FlotillaError `ca-missing`, `ca-passphrase-wrong`, `file-write-failed`
 */
export async function requestResponder(state: StateFolder, passphrase: string): Promise<string> {
  const { root } = await readCaInventory(state);
  const key = await ensureKey(state, passphrase, root.fingerprint);
  // As an id: the parser of requests accepts no other names.
  return createCsr({ key, commonName: 'Flotilla-OCSP-responder' }).pem;
}

/**
 * Signs a request of {@link requestResponder} with the root of this state folder.
 *
 * @throws FlotillaError `csr-…`, `root-key-missing`, `ca-passphrase-wrong`, `ca-expired`
 */
export async function signResponderRequest(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  request: string,
): Promise<CertificateFacts> {
  const { spki } = parseCsr(request);
  const { pem } = await signResponder(await openRoot(state, passphrase, deps), spki);
  return readCertificate(pem);
}

/**
 * Stores the certificate of a responder whose key {@link requestResponder} has made. A service that runs uses it
 * within a minute.
 *
 * @throws FlotillaError `ca-certificate-invalid` when no root of this CA has signed it as a responder, `ca-key-mismatch`,
 *   `certificate-unreadable`, `ca-passphrase-wrong`
 */
export async function importResponder(
  state: StateFolder,
  passphrase: string,
  pem: string,
): Promise<CertificateFacts> {
  const certificate = readCertificate(splitPem(pem)[0] ?? '');
  const { roots } = await readCaInventory(state);
  const root = roots.find((one) => isResponderOf(certificate, one));
  if (root === undefined) {
    throw new FlotillaError('ca-certificate-invalid', {
      detail: 'no root of this CA has signed it for OCSP: flotilla root sign --purpose ocsp',
    });
  }
  const key = await readKey(state, passphrase, root.fingerprint);
  if (key === undefined || !spkiOf(key).equals(certificate.spki)) {
    throw new FlotillaError('ca-key-mismatch', {
      detail: 'its key is not the one of flotilla root ocsp request',
    });
  }
  await writeFileAtomic(filesOf(state, root.fingerprint).cert, certificate.pem, 0o644);
  return certificate;
}

/** Deletes the responder of a root that is not trusted any more. */
export async function removeResponder(state: StateFolder, root: string): Promise<void> {
  const { cert, folder } = filesOf(state, root);
  await rm(cert, { force: true });
  await rm(folder, { recursive: true, force: true });
}

function signResponder(root: Authority, spki: Buffer): ReturnType<Authority['sign']> {
  return root.sign({ spki, profile: 'ocsp', commonName: 'Flotilla OCSP responder', validityMs });
}

async function readKey(
  state: StateFolder,
  passphrase: string,
  root: string,
): Promise<KeyObject | undefined> {
  const text = await readSecretText(filesOf(state, root).key);
  return text === undefined ? undefined : decryptPrivateKey(text, passphrase);
}

async function ensureKey(state: StateFolder, passphrase: string, root: string): Promise<KeyObject> {
  const known = await readKey(state, passphrase, root);
  if (known !== undefined) return known;
  const made = await generateKey('p256');
  const { folder, key } = filesOf(state, root);
  await makeSecretFolder(state.ca.rootOcsp);
  await makeSecretFolder(folder);
  await writeFileAtomic(key, encryptPrivateKey(made, passphrase));
  return made;
}

function isDue({ notBeforeMs, notAfterMs }: CertificateFacts, { clock }: CaDeps): boolean {
  return clock.now() < notBeforeMs || clock.now() >= renewalDueMs(notBeforeMs, notAfterMs);
}

function isResponderOf(found: CertificateFacts, root: CertificateFacts): boolean {
  return (
    found.extendedKeyUsage.includes(oids.ocspSigning) &&
    found.x509.checkIssued(root.x509) &&
    found.x509.verify(root.x509.publicKey)
  );
}
