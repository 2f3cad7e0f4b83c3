/**
 * Issuers that another CA certifies: a root on another machine, or the CA of a company. The key is made here and never
 * leaves the state folder; the request goes out, and the certificate comes in with the CAs above it.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { signCsr } from '../../certs/csr.ts';
import { encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { fingerprintOf, generateKey, spkiOf } from '../../certs/key.ts';
import { keySigner, type Signer } from '../../certs/signer.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { activateIssuer, issuersMax, storeIssuer } from './ca-folder.ts';
import { externalKeyText, readSecretText, readText } from './ca-files.ts';
import {
  foldersIn,
  issuerChainOf,
  issuerDigits,
  readCaInventory,
  type IssuerChain,
} from './ca-inventory.ts';
import { issuerKeyFiles, openKeys, openSigner } from './ca-keys.ts';

/** How many requests may wait for their certificate. */
export const issuerRequestsMax = 8;

/**
 * Makes a key and a request for an issuer. The other CA decides the extensions: it must be a CA with path length 0,
 * and its extended key usage decides what it signs (clientAuth: devices; serverAuth and clientAuth: services).
 *
 * @param tokenUri the PKCS#11 URI of a key that is already on a token (default: a new key, encrypted in a file)
 * @throws FlotillaError `issuer-in-use` when too many requests wait, `file-write-failed`, `ca-token-failed`
 */
export async function requestIssuer(
  state: StateFolder,
  passphrase: string,
  purpose: 'devices' | 'services',
  nowMs: number,
  tokenUri?: string,
): Promise<{ readonly key: string; readonly csr: string }> {
  const content = tokenUri ?? encryptPrivateKey(await generateKey('p256'), passphrase);
  const signer = await openSigner(content, passphrase);
  const digits = await storeKeyFile(state, signer, content);
  const kind = purpose === 'devices' ? 'Issuing' : 'Service';
  const year = new Date(nowMs).getUTCFullYear();
  // As an id: the parser of requests accepts no other names.
  const commonName = `Flotilla-${kind}-CA-${year}-${digits.slice(-8)}`;
  const { pem } = await signCsr(signer, commonName);
  await writeFileAtomic(join(state.ca.requests, digits, 'request.pem'), pem, 0o644);
  return { key: digits, csr: pem };
}

/**
 * Stores the key of an issuer whose certificate will be imported.
 *
 * @returns the name of its folder
 * @throws FlotillaError `issuer-in-use` when too many wait, `file-write-failed`
 */
export async function storeRequestedKey(
  state: StateFolder,
  passphrase: string,
  key: KeyObject,
): Promise<string> {
  return storeKeyFile(state, keySigner(key), encryptPrivateKey(key, passphrase));
}

async function storeKeyFile(
  state: StateFolder,
  { publicKey }: Signer,
  content: string,
): Promise<string> {
  if ((await foldersIn(state.ca.requests)).length >= issuerRequestsMax) {
    throw new FlotillaError('issuer-in-use', {
      detail: `at most ${issuerRequestsMax} requests; delete one in ${state.ca.requests}`,
    });
  }
  const digits = issuerDigits(fingerprintOf(spkiOf(publicKey)));
  const folder = join(state.ca.requests, digits);
  await makeSecretFolder(state.ca.folder);
  await makeSecretFolder(state.ca.requests);
  await makeSecretFolder(folder);
  await writeFileAtomic(join(folder, 'key.pem'), content);
  return digits;
}

/**
 * Stores an issuer whose key is here, with the CAs between it and its root. It is trusted from then on, and signs
 * after {@link activateImported}.
 *
 * @param place where its key is: in the state folder or on a token, or at an external CA
 * @throws FlotillaError `ca-chain-broken` when it does not chain to a trusted root, `ca-key-mismatch` when its key is
 *   not here, `ca-expired` when it is not valid now, `issuer-in-use` when there are too many
 */
export async function importIssuer(
  state: StateFolder,
  passphrase: string,
  pem: string,
  nowMs: number,
  place: 'here' | 'external' = 'here',
): Promise<IssuerChain> {
  const { roots, issuers, service } = await readCaInventory(state);
  const chain = issuerChainOf(pem, roots);
  const { certificate } = chain;
  const { notBeforeMs, notAfterMs, keyFingerprint, fingerprint } = certificate;
  if (nowMs < notBeforeMs || nowMs >= notAfterMs) {
    throw new FlotillaError('ca-expired', { detail: `${fingerprint} is not valid now` });
  }
  const isKnown = issuers.some((one) => one.certificate.fingerprint === fingerprint);
  if (!isKnown && issuers.length >= issuersMax) {
    throw new FlotillaError('issuer-in-use', { detail: `at most ${issuersMax} issuers` });
  }
  if (place === 'external') {
    if (chain.purpose === 'services' || service === undefined) {
      throw new FlotillaError('ca-missing', {
        detail: 'an external CA signs for devices only; the issuer of services must be here before',
      });
    }
    await storeIssuer(state, pemOf(chain), externalKeyText);
    return { ...chain, isExternal: true };
  }
  const file = await fileOfKey(state, passphrase, chain);
  if (file === undefined) {
    throw new FlotillaError('ca-key-mismatch', { detail: `the key ${keyFingerprint} is not here` });
  }
  const key = (await readSecretText(file)) ?? '';
  await storeIssuer(state, pemOf(chain), key);
  await rm(join(state.ca.requests, issuerDigits(keyFingerprint)), { recursive: true, force: true });
  return chain;
}

/** Makes an imported issuer sign. One for everything signs for devices, and for services if nothing else does. */
export async function activateImported(state: StateFolder, chain: IssuerChain): Promise<void> {
  const { fingerprint } = chain.certificate;
  if (chain.purpose === 'services') await activateIssuer(state, fingerprint, 'services');
  else await activateIssuer(state, fingerprint, 'devices');
}

function pemOf({ certificate, above }: IssuerChain): string {
  return [certificate, ...above].map(({ pem }) => pem).join('');
}

async function fileOfKey(
  state: StateFolder,
  passphrase: string,
  { certificate }: IssuerChain,
): Promise<string | undefined> {
  const requested = join(state.ca.requests, issuerDigits(certificate.keyFingerprint), 'key.pem');
  for (const file of [requested, ...(await issuerKeyFiles(state))]) {
    if ((await readText(file)) === undefined) continue;
    if ((await openKeys([file], [certificate], passphrase)).size > 0) return file;
  }
  return undefined;
}
