/**
 * The CA on the disk: roots and their issuers, with encrypted keys.
 *
 * ```
 * ca/root.pem root.key.pem       the root; its key is needed only to make and to revoke issuers
 * ca/root.crl.pem                the root's list of revoked issuers
 * ca/issuer.pem issuer.key.pem   the issuer that signs certificates of devices now
 * ca/service.pem                 the issuer that signs certificates of services, brokers and servers now
 * ca/device-servers.pem          the issuer that signs certificates of devices that are servers, which is its own root
 * ca/issuers/<id>/cert.pem key.pem   every issuer that is still trusted, including the current ones
 * ca/withdrawn/<id>/             the same of issuers whose key is in other hands (see issuer-withdrawal-record.ts)
 * ca/requests/<id>/key.pem       keys of issuers whose certificate is requested from another CA
 * ca/roots/{next,former}/        cert.pem key.pem crl.pem of another trusted root, cross.pem (see root-change.ts)
 * ```
 *
 * `issuer.pem`, `service.pem` and `device-servers.pem` decide which issuers are current. Keys are found by their public key, so
 * that a crash between two files of a rollover leaves a working CA. An issuer's `<id>` is the first 16
 * digits of its fingerprint. The certificate of an issuer may be followed by the CAs between it and the root.
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
import { absentSigner, keySigner, type Signer } from '../../certs/signer.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { markCreation, unmarkCreation } from './ca-creation-guard.ts';
import { readSecretText, readText } from './ca-files.ts';
import {
  issuerDigits,
  readCaInventory,
  type CaInventory,
  type IssuerChain,
  type RootedPurpose,
  type SignedPurpose,
} from './ca-inventory.ts';
import { issuerKeyFiles, openKeys, openSigner } from './ca-keys.ts';
import { openRoot, type CaDeps } from './root-authority.ts';
import { ensureRootCrl, readRootCrl, type RootCrl } from './root-crl.ts';
import { ensureResponderOf } from './root-responder.ts';
import { dayMs } from '../../core/config/duration.ts';

const yearMs = 365.25 * dayMs;
export const rootValidityMs = 25 * yearMs;
export const issuerValidityMs = 12 * yearMs;

/** How many issuers may be trusted at a time, including the current one. */
export const issuersMax = 8;

/** The CA with the keys of its issuers. */
export interface OpenedCa {
  readonly inventory: CaInventory;
  /** The lists of the roots by the fingerprint of the root; one whose key is stored elsewhere may have none. */
  readonly rootCrls: ReadonlyMap<string, RootCrl>;
  /** The authorities of the inventory's issuers, in the same order. */
  readonly issuers: readonly OpenedIssuer[];
}

export interface OpenedIssuer extends IssuerChain {
  readonly authority: Authority;
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
    const made = kept === undefined ? await generateKey('p256') : undefined;
    const signer = made === undefined ? await openSigner(kept ?? '', passphrase) : keySigner(made);
    const root = await signRoot(
      {
        commonName: `Flotilla Root CA ${suffixOf(signer.publicKey)}`,
        validityMs: rootValidityMs,
        clock: deps.clock,
      },
      signer,
    );
    if (made !== undefined) {
      await writeFileAtomic(state.ca.rootKey, encryptPrivateKey(made, passphrase));
    }
    await writeFileAtomic(state.ca.rootCert, root.pem, 0o644);
  }
  for (const purpose of ['devices', 'services'] as const) {
    await createIssuer(state, passphrase, deps, purpose);
  }
  await ensureRootCrl(state, passphrase, deps);
  await unmarkCreation(state);
}

/**
 * Creates an issuer that the root signs, and stores it with the others. It signs nothing until {@link
 * activateIssuer}; the first one of each purpose is current at once. The issuer of devices that are servers signs
 * itself.
 *
 * @throws FlotillaError `ca-missing`, `root-expired`, `root-key-missing` when the root's key was removed
 */
export async function createIssuer(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  purpose: SignedPurpose = 'devices',
): Promise<CertificateFacts> {
  if (purpose === 'device-servers') return newDeviceServersRoot(state, passphrase, deps);
  return newIssuer(state, passphrase, await openRoot(state, passphrase, deps), deps, purpose);
}

/** Creates an issuer that this root signs, as {@link createIssuer}. */
export async function newIssuer(
  state: StateFolder,
  passphrase: string,
  root: Authority,
  deps: CaDeps,
  purpose: RootedPurpose,
): Promise<CertificateFacts> {
  if (deps.clock.now() >= root.certificate.notAfterMs) {
    throw new FlotillaError('root-expired', { detail: root.certificate.fingerprint });
  }
  const key = await generateKey('p256');
  const kind = purpose === 'devices' ? 'Issuing' : 'Service';
  const issued = await root.sign({
    spki: spkiOf(key),
    profile: purpose === 'devices' ? 'device-issuer' : 'service-issuer',
    commonName: issuerName(kind, key, deps),
    validityMs: issuerValidityMs,
  });
  await ensureResponderOf(state, passphrase, root, deps);
  return storeNewIssuer(state, issued.pem, encryptPrivateKey(key, passphrase), purpose);
}

/** No key of a root is necessary: devices and services must not trust it as a server. */
async function newDeviceServersRoot(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<CertificateFacts> {
  const key = await generateKey('p256');
  const issued = await signRoot(
    {
      commonName: issuerName('Device Server', key, deps),
      validityMs: issuerValidityMs,
      clock: deps.clock,
      profile: 'device-servers-root',
    },
    keySigner(key),
  );
  const encrypted = encryptPrivateKey(key, passphrase);
  return storeNewIssuer(state, issued.pem, encrypted, 'device-servers');
}

function issuerName(kind: string, key: KeyObject, { clock }: CaDeps): string {
  return `Flotilla ${kind} CA ${new Date(clock.now()).getUTCFullYear()}-${suffixOf(key)}`;
}

async function storeNewIssuer(
  state: StateFolder,
  pem: string,
  encryptedKey: string,
  purpose: SignedPurpose,
): Promise<CertificateFacts> {
  const issuer = readCertificate(pem);
  await storeIssuer(state, pem, encryptedKey);
  if ((await readText(pointerOf(state, purpose))) === undefined) {
    await activateIssuer(state, issuer.fingerprint, purpose);
  }
  return issuer;
}

/** The file that says which issuer signs for a purpose. */
function pointerOf({ ca }: StateFolder, purpose: SignedPurpose): string {
  return {
    devices: ca.issuerCert,
    services: ca.serviceCert,
    'device-servers': ca.deviceServersCert,
  }[purpose];
}

/** Stores an issuer with the trusted ones. @param pem the issuer, then the CAs between it and the root */
export async function storeIssuer(
  state: StateFolder,
  pem: string,
  encryptedKey: string,
): Promise<void> {
  const folder = issuerFolder(state, readCertificate(splitPem(pem)[0] ?? '').fingerprint);
  await makeSecretFolder(state.ca.issuers);
  await makeSecretFolder(folder);
  await writeFileAtomic(join(folder, 'key.pem'), encryptedKey);
  await writeFileAtomic(join(folder, 'cert.pem'), pem, 0o644);
}

/** Makes an issuer the one that signs for a purpose. @throws FlotillaError `issuer-not-found` */
export async function activateIssuer(
  state: StateFolder,
  fingerprint: string,
  purpose: SignedPurpose = 'devices',
): Promise<void> {
  const folder = issuerFolder(state, fingerprint);
  const [cert, key] = await Promise.all([
    readText(join(folder, 'cert.pem')),
    readText(join(folder, 'key.pem')),
  ]);
  if (cert === undefined || key === undefined) {
    throw new FlotillaError('issuer-not-found', { detail: fingerprint });
  }
  if (purpose !== 'devices') {
    await writeFileAtomic(pointerOf(state, purpose), cert, 0o644);
    return;
  }
  await keepIssuer(state);
  const before = await readText(state.ca.issuerCert);
  if (before !== undefined && (await readText(state.ca.serviceCert)) === undefined) {
    // The new issuer may be for devices only. Servers keep theirs until there is one for services.
    await writeFileAtomic(state.ca.serviceCert, before, 0o644);
  }
  await writeFileAtomic(state.ca.issuerCert, cert, 0o644);
  await writeFileAtomic(state.ca.issuerKey, key);
}

/** Stores the current issuer with the others if it is not there: an operator may have supplied it. */
export async function keepIssuer(state: StateFolder): Promise<void> {
  const [cert, key] = await Promise.all([
    readText(state.ca.issuerCert),
    readText(state.ca.issuerKey),
  ]);
  if (cert === undefined || key === undefined) return;
  const { fingerprint } = readCertificate(splitPem(cert)[0] ?? '');
  const { issuers, withdrawn } = state.ca;
  for (const folder of [issuers, withdrawn].map((one) => join(one, issuerDigits(fingerprint)))) {
    if ((await readText(join(folder, 'cert.pem'))) !== undefined) return;
  }
  await storeIssuer(state, cert, key);
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
 * @param known keys that are open already, by the fingerprint of the key: opening one takes 0.1 s
 * @throws FlotillaError `ca-missing`, `ca-chain-broken`, `ca-passphrase-wrong`, `ca-key-unreadable`,
 *   `file-too-open`
 */
export async function openCa(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  known: ReadonlyMap<string, Signer> = new Map(),
): Promise<OpenedCa> {
  const inventory = await readCaInventory(state);
  // While a withdrawn issuer is being replaced, everything works but the signing of certificates.
  if (inventory.current === undefined && inventory.unsigned.length === 0) {
    throw new FlotillaError('ca-missing', { detail: state.ca.issuerCert });
  }
  const unknown = inventory.issuers
    .filter(({ isExternal }) => isExternal !== true)
    .map(({ certificate }) => certificate)
    .filter(({ keyFingerprint }) => !known.has(keyFingerprint));
  // The files beside these certificates come first, because each file that is opened takes 0.1 s.
  const files = [
    ...unknown.map(({ fingerprint }) => join(issuerFolder(state, fingerprint), 'key.pem')),
    ...(await issuerKeyFiles(state)),
  ];
  const external = inventory.issuers
    .filter(({ isExternal }) => isExternal === true)
    .map(({ certificate }) => certificate);
  const keys = new Map([
    ...known,
    ...external.map((one) => [one.keyFingerprint, absentSigner(one.x509.publicKey)] as const),
    ...(await openKeys(files, unknown, passphrase)),
  ]);
  const issuers = inventory.issuers.map((chain) => ({
    ...chain,
    authority: authorityOf(chain, keys, deps),
  }));
  const rootCrls = new Map<string, RootCrl>();
  for (const root of inventory.roots) {
    const list = await readRootCrl(state, root);
    if (list !== undefined) rootCrls.set(root.fingerprint, list);
  }
  return { inventory, rootCrls, issuers };
}

function authorityOf(
  { certificate }: IssuerChain,
  keys: ReadonlyMap<string, Signer>,
  { clock, urls }: CaDeps,
): Authority {
  const { fingerprint, keyFingerprint, pem } = certificate;
  const key = keys.get(keyFingerprint);
  if (key === undefined) {
    throw new FlotillaError('ca-missing', { detail: `the key of ${fingerprint}` });
  }
  return new Authority({ key, certificate: pem, clock, urls: urls?.(fingerprint) ?? {} });
}

/**
 * A client that trusts two installations must be able to distinguish their CAs by name (RFC 5280, 4.1.2.4).
 */
function suffixOf(key: KeyObject): string {
  return spkiOf(key).subarray(-4).toString('hex');
}

/** The folder of a trusted issuer. @throws FlotillaError `issuer-not-found` */
export function issuerFolder(state: StateFolder, fingerprint: string): string {
  return join(state.ca.issuers, issuerDigits(fingerprint));
}
