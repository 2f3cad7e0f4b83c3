/**
 * Checks the files of the CA without changing them: certificates, chains and lists always, keys as far as
 * possible without the passphrase, and completely with it.
 *
 * @module
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { assertEncryptedKey, decryptPrivateKey } from '../../certs/encrypted-key.ts';
import { spkiOf } from '../../certs/key.ts';
import { isPkcs11Uri } from '../../certs/pkcs11-uri.ts';
import type { Clock } from '../../core/clock.ts';
import type { FindingList } from '../../core/integrity/finding.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { isExternalKey, readText } from './ca-files.ts';
import { foldersIn } from './ca-inventory.ts';
import { openCa } from './ca-folder.ts';
import { readRootCrl } from './root-crl.ts';

/** What was checked. */
export interface CheckedCa {
  /** The CA certificates, in files other than those of withdrawn issuers. */
  readonly certificates: readonly CertificateFacts[];
  readonly keyCount: number;
}

/** A certificate and the file that it is in. */
interface Located {
  readonly path: string;
  readonly certificate: CertificateFacts;
}

/** @param passphrase undefined: keys are not decrypted */
export async function checkCa(
  state: StateFolder,
  passphrase: string | undefined,
  clock: Clock,
  findings: FindingList,
): Promise<CheckedCa> {
  const before = findings.count;
  for (const path of [state.ca.rootCert, state.ca.issuerCert]) {
    const text = await readText(path).catch(() => '');
    if (text === undefined) findings.add('ca-missing', path, 'the file is missing');
  }
  const located: Located[] = [];
  let keyCount = 0;
  for (const path of await pemFiles(state.ca.folder)) {
    // A file that cannot be read is reported by the check of the modes.
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    if (path.endsWith('key.pem')) {
      keyCount++;
      // Other keys are on a token, or at an external CA.
      if (!isPkcs11Uri(text) && !isExternalKey(text)) checkKey(path, text, passphrase, findings);
    } else if (!path.endsWith('crl.pem')) {
      located.push(...certificatesOf(path, text, findings));
    }
  }
  const trusted = located.filter(({ path }) => !path.includes('/withdrawn/'));
  checkChains(trusted, findings);
  if (passphrase !== undefined) await checkPairs(state, passphrase, findings);
  await checkRootCrl(state, findings);
  // What the service would load. Details are reported above.
  if (passphrase !== undefined && findings.count === before) {
    await openCa(state, passphrase, { clock }).catch((error: unknown) => {
      findings.addError(error, state.ca.folder, 'ca-missing');
    });
  }
  const certificates = trusted.map(({ certificate }) => certificate).filter(({ isCa }) => isCa);
  return { certificates, keyCount };
}

async function pemFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((one) => !one.isDirectory() && one.name.endsWith('.pem') && !one.name.startsWith('.'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();
}

function certificatesOf(path: string, text: string, findings: FindingList): Located[] {
  const pems = splitPem(text);
  if (pems.length === 0) findings.add('certificate-unreadable', path, 'no certificate in PEM');
  return pems.flatMap((pem) => {
    try {
      return [{ path, certificate: readCertificate(pem) }];
    } catch (error) {
      findings.addError(error, path, 'certificate-unreadable');
      return [];
    }
  });
}

function checkKey(
  path: string,
  text: string,
  passphrase: string | undefined,
  findings: FindingList,
): void {
  try {
    if (passphrase === undefined) assertEncryptedKey(text);
    else decryptPrivateKey(text, passphrase);
  } catch (error) {
    findings.addError(error, path, 'ca-key-unreadable');
  }
}

/** Each CA is a root, or another CA in the folder has signed it. So are the responders of the roots, which are no CAs. */
function checkChains(located: readonly Located[], findings: FindingList): void {
  const all = located.map(({ certificate }) => certificate);
  for (const { path, certificate } of located) {
    if (!certificate.isCa && !path.includes('/ocsp/')) {
      findings.add('ca-certificate-invalid', path, `${certificate.fingerprint} is not a CA`);
    } else if (!all.some((other) => hasSigned(other, certificate))) {
      const detail = `no CA in the folder has signed ${certificate.fingerprint}`;
      findings.add('ca-chain-broken', path, detail);
    }
  }
}

/** A damaged signature may also make OpenSSL fail. */
function hasSigned(signer: CertificateFacts, signed: CertificateFacts): boolean {
  try {
    return signed.x509.checkIssued(signer.x509) && signed.x509.verify(signer.x509.publicKey);
  } catch {
    return false;
  }
}

/** The key of an issuer in `issuers/` is in the same folder as its certificate, that of the root beside it. */
async function checkPairs(
  state: StateFolder,
  passphrase: string,
  findings: FindingList,
): Promise<void> {
  const { issuers, rootOcsp } = state.ca;
  const folders = (await Promise.all([issuers, rootOcsp].map(foldersIn))).flat();
  const pairs = [
    { cert: state.ca.rootCert, key: state.ca.rootKey },
    ...folders.map((folder) => ({ cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') })),
  ];
  for (const { cert, key } of pairs) {
    // Missing files: the root's key may be elsewhere, and another issuer's may be in a signing device.
    const [certText, keyText] = await Promise.all([cert, key].map((path) => readText(path)));
    const [pem] = splitPem(certText ?? '');
    if (pem === undefined || keyText === undefined) continue;
    try {
      const isPair = spkiOf(decryptPrivateKey(keyText, passphrase)).equals(
        readCertificate(pem).spki,
      );
      if (!isPair) findings.add('ca-key-mismatch', key, `it is not the key of ${cert}`);
    } catch {
      // Reported by the checks of the two files.
    }
  }
}

async function checkRootCrl(state: StateFolder, findings: FindingList): Promise<void> {
  const [list, root] = await Promise.all(
    [state.ca.rootCrl, state.ca.rootCert].map((path) => readText(path).catch(() => undefined)),
  );
  const [pem] = splitPem(root ?? '');
  if (list === undefined || pem === undefined) return;
  const read = async (): Promise<boolean> =>
    (await readRootCrl(state, readCertificate(pem))) !== undefined;
  if (await read().catch(() => false)) return;
  findings.add('crl-malformed', state.ca.rootCrl, 'it is damaged, or another root has signed it');
}
