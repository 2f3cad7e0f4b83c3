/**
 * Replacing the root. The next root is trusted beside the current one before it becomes the current one, and the former
 * one stays trusted until nothing needs it. In between, each root is also certified by the other (RFC 4210, 4.4), so
 * that a client with either of them accepts every server.
 *
 * ```
 * ca/roots/next/     cert.pem, key.pem if it is here, crl.pem, cross.pem
 * ca/roots/former/   the same
 * ```
 *
 * Each step can be repeated after a crash: a root's key and list are found by its certificate, wherever they are.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, signRoot } from '../../certs/authority.ts';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKey, spkiOf } from '../../certs/key.ts';
import { pkcs11Signer } from '../../certs/pkcs11-signer.ts';
import { keySigner, type Signer } from '../../certs/signer.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { assertCaCreatable, markCreation, unmarkCreation } from './ca-creation-guard.ts';
import { readSecretText, readText } from './ca-files.ts';
import { rootValidityMs } from './ca-folder.ts';
import { formerRoot, nextRoot, readCaInventory } from './ca-inventory.ts';
import { openSigner } from './ca-keys.ts';
import { openRoot, type CaDeps } from './root-authority.ts';
import { signListOf } from './root-crl.ts';
import { removeResponder } from './root-responder.ts';

/** A root that an operator supplies. */
export interface SuppliedRoot {
  readonly certificate: string;
  /** Undefined: it is stored elsewhere, and issuers of this root are imported. */
  readonly key: KeyObject | undefined;
  /** Certificates of one root that the other one has signed; those that can be made here are made here. */
  readonly cross: string;
}

/** The key of a root, and what its key file contains. */
interface RootKey {
  readonly signer: Signer;
  readonly content: string;
}

/**
 * Begins a CA with a root that an operator supplies. Its issuers follow: by the first start if the key of the root is
 * here, otherwise by `issuer import`.
 *
 * @throws FlotillaError `ca-missing` when there are remains of another CA, `ca-certificate-invalid`, `ca-key-mismatch`
 */
export async function createSuppliedCa(
  state: StateFolder,
  passphrase: string,
  supplied: SuppliedRoot,
): Promise<CertificateFacts> {
  const root = suppliedRoot(supplied);
  const known = await readText(state.ca.rootCert);
  if (known !== undefined) throw new FlotillaError('root-in-use', { detail: state.ca.rootCert });
  await assertCaCreatable(state);
  await makeSecretFolder(state.ca.folder);
  await markCreation(state);
  const { key } = supplied;
  if (key !== undefined) {
    await writeFileAtomic(state.ca.rootKey, encryptPrivateKey(key, passphrase));
  }
  await writeFileAtomic(state.ca.rootCert, root.pem, 0o644);
  await unmarkCreation(state);
  return root;
}

/**
 * Stores the PKCS#11 URI of a key on a token, which the next root will have. {@link createNextRoot} creates the root.
 *
 * @throws FlotillaError `root-in-use` when there is already another root, `ca-key-unreadable` for another content,
 *   `ca-token-failed`
 */
export async function storeNextRootToken(state: StateFolder, uri: string): Promise<void> {
  await assertOneRoot(state);
  await pkcs11Signer(uri);
  await makeSecretFolder(state.ca.roots);
  await makeSecretFolder(join(state.ca.roots, nextRoot));
  await writeFileAtomic(nextRootKey(state), uri);
}

/**
 * Creates the next root. It is trusted from then on, and signs nothing but its issuers, its list and the certificate
 * of the current root. Its key is the stored one ({@link storeNextRootToken}, or an interrupted creation), or a new one.
 *
 * @throws FlotillaError `root-in-use` when there is already another one, `root-key-missing` when the key of the current
 *   root is stored elsewhere, `ca-passphrase-wrong`, `ca-token-failed`
 */
export async function createNextRoot(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<CertificateFacts> {
  const { root } = await readCaInventory(state);
  const hasEnded = deps.clock.now() >= root.notAfterMs;
  // Without the current root's signature, devices that know only that one would be lost.
  if (!hasEnded) await openRoot(state, passphrase, deps, root);
  await assertOneRoot(state);
  const content =
    (await readSecretText(nextRootKey(state))) ??
    encryptPrivateKey(await generateKey('p256'), passphrase);
  const signer = await openSigner(content, passphrase);
  const year = new Date(deps.clock.now()).getUTCFullYear();
  const digits = spkiOf(signer.publicKey).subarray(-4).toString('hex');
  const { pem } = await signRoot(
    {
      commonName: `Flotilla Root CA ${year}-${digits}`,
      validityMs: rootValidityMs,
      clock: deps.clock,
    },
    signer,
  );
  const created = { certificate: pem, key: undefined, cross: '' };
  return storeNextRoot(state, passphrase, deps, created, { signer, content });
}

/**
 * Stores a root as the next one, with the cross certificates that the keys which are here can sign.
 *
 * @throws FlotillaError `root-in-use`, `ca-certificate-invalid` when it is not a self-signed CA, `ca-key-mismatch`,
 *   `ca-chain-broken` for a cross certificate of other roots
 */
export async function addNextRoot(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  supplied: SuppliedRoot,
): Promise<CertificateFacts> {
  await assertOneRoot(state);
  const { key } = supplied;
  const rootKey =
    key === undefined
      ? undefined
      : { signer: keySigner(key), content: encryptPrivateKey(key, passphrase) };
  return storeNextRoot(state, passphrase, deps, supplied, rootKey);
}

async function storeNextRoot(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  supplied: SuppliedRoot,
  rootKey: RootKey | undefined,
): Promise<CertificateFacts> {
  const { root: current } = await readCaInventory(state);
  const next = suppliedRoot(supplied);
  if (next.fingerprint === current.fingerprint) {
    throw new FlotillaError('root-in-use', { detail: 'it is the current root' });
  }
  const signer =
    rootKey === undefined
      ? undefined
      : new Authority({
          key: rootKey.signer,
          certificate: next.pem,
          clock: deps.clock,
          urls: deps.urls?.(next.fingerprint) ?? {},
        });
  const before = await rootIfHere(state, passphrase, deps, current);
  const given = splitPem(supplied.cross).map((pem) => readCertificate(pem));
  for (const one of given) assertCross(one, current, next);
  const crossed = [await signed(before, next), await signed(signer, current)];
  const made = crossed.filter((one) => one !== undefined);
  const folder = join(state.ca.roots, nextRoot);
  await makeSecretFolder(state.ca.roots);
  await makeSecretFolder(folder);
  // The certificate first. The key stays until it is replaced: a crash must not turn a key on a token into one in a file.
  for (const name of ['cert.pem', 'crl.pem', 'cross.pem']) {
    await rm(join(folder, name), { force: true });
  }
  const cross = [...made, ...given.map(({ pem }) => pem)].join('');
  await writeFileAtomic(join(folder, 'cross.pem'), cross, 0o644);
  if (rootKey === undefined) await rm(nextRootKey(state), { force: true });
  else await writeFileAtomic(nextRootKey(state), rootKey.content);
  await writeFileAtomic(join(folder, 'cert.pem'), next.pem, 0o644);
  if (signer !== undefined) await signListOf(state, signer, deps);
  return next;
}

function nextRootKey({ ca }: StateFolder): string {
  return join(ca.roots, nextRoot, 'key.pem');
}

/** @throws FlotillaError `root-in-use` when there is a next or a former root */
async function assertOneRoot(state: StateFolder): Promise<void> {
  const { roots } = await readCaInventory(state);
  if (roots.length <= 1) return;
  const detail = roots.slice(1).map(({ fingerprint }) => fingerprint);
  throw new FlotillaError('root-in-use', { detail: detail.join(', ') });
}

/** Makes the next root the current one, and the current one the former. May be repeated after a crash. */
export async function activateNextRoot(state: StateFolder): Promise<void> {
  const { ca } = state;
  const next = join(ca.roots, nextRoot);
  const former = join(ca.roots, formerRoot);
  const pem = await readText(join(next, 'cert.pem'));
  if (pem === undefined) return;
  const { root } = await readCaInventory(state);
  if (root.pem !== readCertificate(pem).pem) {
    await makeSecretFolder(former);
    await copy(ca.rootKey, join(former, 'key.pem'), 'secret');
    await copy(ca.rootCrl, join(former, 'crl.pem'));
    await copy(join(next, 'cross.pem'), join(former, 'cross.pem'));
    await copy(ca.rootCert, join(former, 'cert.pem'));
    await writeFileAtomic(ca.rootCert, pem, 0o644);
  }
  await copy(join(next, 'key.pem'), ca.rootKey, 'secret');
  await copy(join(next, 'crl.pem'), ca.rootCrl);
  // The certificate first: a repetition must not take the missing key for one that is elsewhere.
  await rm(join(next, 'cert.pem'), { force: true });
  await rm(next, { recursive: true, force: true });
}

/** Deletes the former root. Its key is deleted as well. */
export async function removeFormerRoot(state: StateFolder): Promise<void> {
  const { former } = await readCaInventory(state);
  const folder = join(state.ca.roots, formerRoot);
  // The certificate first: without it, the rest is ignored.
  await rm(join(folder, 'cert.pem'), { force: true });
  await rm(folder, { recursive: true, force: true });
  if (former !== undefined) await removeResponder(state, former.fingerprint);
}

/** The list of the former root is signed again with the others when its key is here. */
export async function rootIfHere(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  root: CertificateFacts,
): Promise<Authority | undefined> {
  try {
    return await openRoot(state, passphrase, deps, root);
  } catch (error) {
    if (isFlotillaError(error, 'root-key-missing')) return undefined;
    throw error;
  }
}

/** The parsed certificate of a supplied root. @throws FlotillaError `ca-certificate-invalid`, `ca-key-mismatch` */
export function suppliedRoot({ certificate, key }: SuppliedRoot): CertificateFacts {
  const root = readCertificate(splitPem(certificate)[0] ?? '');
  const { x509, isCa, subjectKeyId } = root;
  if (!isCa || subjectKeyId === undefined || !x509.verify(x509.publicKey)) {
    throw new FlotillaError('ca-certificate-invalid', { detail: 'a root is self-signed' });
  }
  if (key !== undefined && !x509.checkPrivateKey(key)) throw new FlotillaError('ca-key-mismatch');
  return root;
}

/** Roots that are never valid together need no cross certificate. */
async function signed(
  signer: Authority | undefined,
  subject: CertificateFacts,
): Promise<string | undefined> {
  if (signer === undefined) return undefined;
  try {
    return (await signer.crossCertify(subject)).pem;
  } catch (error) {
    if (isFlotillaError(error, 'ca-expired')) return undefined;
    throw error;
  }
}

function assertCross(
  one: CertificateFacts,
  current: CertificateFacts,
  next: CertificateFacts,
): void {
  const isOf = (subject: CertificateFacts, signer: CertificateFacts): boolean =>
    one.keyFingerprint === subject.keyFingerprint &&
    one.subject.equals(subject.subject) &&
    one.isCa &&
    one.x509.checkIssued(signer.x509) &&
    one.x509.verify(signer.x509.publicKey);
  if (isOf(current, next) || isOf(next, current)) return;
  throw new FlotillaError('ca-chain-broken', {
    detail: `${one.fingerprint} does not connect ${current.fingerprint} and ${next.fingerprint}`,
  });
}

/** Copies a file, or deletes the target when there is none: a root whose key is elsewhere has no key file. */
async function copy(from: string, to: string, kind: 'secret' | 'public' = 'public'): Promise<void> {
  const text = await readText(from);
  if (text === undefined) await rm(to, { force: true });
  else await writeFileAtomic(to, text, kind === 'secret' ? 0o600 : 0o644);
}
