/**
 * The CRL of the root, `ca/root.crl.pem`: the list of revoked issuers. Software that checks a whole chain
 * (nginx, HAProxy, `openssl verify -crl_check_all`) rejects every device without it.
 *
 * The root's key may be stored elsewhere, so the list cannot be signed again regularly. It is valid as long as
 * the root: an expired list would lock out every device at once. A newer list has a higher number.
 *
 * @module
 */
import { join } from 'node:path';
import { backdateMs, type Authority } from '../../certs/authority.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { CrlEntries } from '../../certs/crl-entries.ts';
import { parseCrl, signCrl, type Crl } from '../../certs/crl.ts';
import { derOfText, pemOf } from '../../certs/pem.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readText } from './ca-files.ts';
import { formerRoot, nextRoot, readCaInventory, type CaInventory } from './ca-inventory.ts';
import { openRoot, type CaDeps } from './root-authority.ts';

export interface RootCrl extends Crl {
  readonly der: Buffer;
}

/**
 * Reads the list of a root: the newest one, because a crash while the root was replaced may have left two.
 *
 * @returns undefined when there is none, or it is damaged
 */
export async function readRootCrl(
  state: StateFolder,
  root: CertificateFacts,
): Promise<RootCrl | undefined> {
  let newest: RootCrl | undefined;
  for (const file of rootCrlFiles(state)) {
    const list = await readList(file, root);
    if (list !== undefined && (newest === undefined || list.number > newest.number)) newest = list;
  }
  return newest;
}

function rootCrlFiles({ ca }: StateFolder): string[] {
  return [ca.rootCrl, ...[nextRoot, formerRoot].map((name) => join(ca.roots, name, 'crl.pem'))];
}

async function readList(file: string, root: CertificateFacts): Promise<RootCrl | undefined> {
  const der = derOfText((await readText(file)) ?? '', ['X509 CRL']);
  if (der === undefined) return undefined;
  try {
    return { ...(await parseCrl(der, root)), der };
  } catch (error) {
    if (isFlotillaError(error, 'crl-malformed') || isFlotillaError(error, 'crl-untrusted')) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Signs the root's list again and stores it: what was revoked before stays on it, withdrawn issuers are added.
 *
 * @param of the root (default: the current one)
 * @throws FlotillaError `root-key-missing`, `ca-missing`, `ca-passphrase-wrong`, `file-write-failed`
 */
export async function signRootCrl(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  of?: CertificateFacts,
): Promise<void> {
  await signListOf(state, await openRoot(state, passphrase, deps, of), deps);
}

/** Signs and stores the list of a root whose key is open, as {@link signRootCrl}. */
export async function signListOf(
  state: StateFolder,
  signer: Authority,
  deps: CaDeps,
): Promise<void> {
  const root = signer.certificate;
  const before = await readRootCrl(state, root);
  const entries = new Map(before?.revoked);
  const now = deps.clock.now();
  for (const { serial } of unlistedIssuers(await readCaInventory(state), root, before)) {
    entries.set(serial, { serial, atMs: now, reason: 'cACompromise' });
  }
  const der = await signCrl({
    signer,
    number: maxOf(BigInt(now), (before?.number ?? 0n) + 1n),
    thisUpdateMs: Math.max(root.notBeforeMs, now - backdateMs),
    nextUpdateMs: root.notAfterMs,
    entries: CrlEntries.of(entries.values()),
  });
  const pem = pemOf('X509 CRL', Buffer.concat(der));
  await writeFileAtomic(await listFileOf(state, root), pem, 0o644);
}

/**
 * Signs the list of the current root when it is missing or damaged, and that of each trusted root when it lacks a
 * withdrawn issuer, or was signed while the clock was ahead.
 *
 * @throws FlotillaError as {@link signRootCrl}
 */
export async function ensureRootCrl(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
): Promise<void> {
  const inventory = await readCaInventory(state);
  for (const root of inventory.roots) {
    const known = await readRootCrl(state, root);
    const isComplete = unlistedIssuers(inventory, root, known).length === 0;
    // The key of a former or next root may never have been here: it had its list from the beginning, or has none.
    const isMissing = root === inventory.root && known === undefined;
    const isOfFuture = known !== undefined && known.thisUpdateMs > deps.clock.now();
    if (isMissing || !isComplete || isOfFuture) await signRootCrl(state, passphrase, deps, root);
  }
}

/** The withdrawn issuers that a root has signed and its list does not contain. */
export function unlistedIssuers(
  { withdrawn }: CaInventory,
  root: CertificateFacts,
  list: Crl | undefined,
): readonly CertificateFacts[] {
  return withdrawn.filter(
    ({ serial, x509 }) => list?.revoked.has(serial) !== true && x509.checkIssued(root.x509),
  );
}

/** Where the list of a root is stored: in the folder of another root, or beside the current one. */
async function listFileOf({ ca }: StateFolder, root: CertificateFacts): Promise<string> {
  for (const name of [nextRoot, formerRoot]) {
    const pem = await readText(join(ca.roots, name, 'cert.pem'));
    if (pem === root.pem) return join(ca.roots, name, 'crl.pem');
  }
  return ca.rootCrl;
}

function maxOf(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
