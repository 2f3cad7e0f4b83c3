/**
 * Withdrawn issuers on the disk. The withdrawal of an issuer is durable, and in force at the next start, when its
 * folder has moved from `issuers` to `withdrawn`. What follows (another issuer, the list of the root, the audit log)
 * takes longer: `withdrawal.json` in the folder says that it is not complete yet, and who began it.
 *
 * @module
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { makeSecretFolder, syncFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readText } from './ca-files.ts';
import { issuerFolder, keepIssuer } from './ca-folder.ts';
import { foldersIn, issuerDigits } from './ca-inventory.ts';

const recordName = 'withdrawal.json';

const recordSchema = z.strictObject({
  actor: z.string().min(1).max(256),
  atMs: z.int().min(0),
});

/** A withdrawal that is in force, and not complete. */
export interface OpenWithdrawal extends z.infer<typeof recordSchema> {
  readonly fingerprint: string;
}

/**
 * Moves an issuer to the withdrawn ones, durably. Its key is kept: an operator may have named the wrong one.
 *
 * @throws FlotillaError `issuer-not-found` when it is not stored, `file-write-failed`
 */
export async function withdrawIssuer(
  state: StateFolder,
  { fingerprint, actor, atMs }: OpenWithdrawal,
): Promise<void> {
  await keepIssuer(state);
  const from = issuerFolder(state, fingerprint);
  if ((await readText(join(from, 'cert.pem'))) === undefined) {
    throw new FlotillaError('issuer-not-found', { detail: fingerprint });
  }
  await writeFileAtomic(join(from, recordName), JSON.stringify({ actor, atMs }));
  await moveToWithdrawn(state, from, issuerDigits(fingerprint));
}

/**
 * The withdrawals that are not complete. One that a crash has interrupted before its folder moved is in force
 * afterwards.
 *
 * @throws FlotillaError `file-write-failed`
 */
export async function openWithdrawals(state: StateFolder): Promise<readonly OpenWithdrawal[]> {
  for (const folder of await foldersIn(state.ca.issuers)) {
    if ((await readText(join(folder, recordName))) === undefined) continue;
    await moveToWithdrawn(state, folder, folder.slice(-issuerIdDigits));
  }
  const found: OpenWithdrawal[] = [];
  for (const folder of await foldersIn(state.ca.withdrawn)) {
    const record = await readText(join(folder, recordName));
    const [issuer] = splitPem((await readText(join(folder, 'cert.pem'))) ?? '');
    if (record === undefined || issuer === undefined) continue;
    const { fingerprint } = readCertificate(issuer);
    found.push({ ...parsedRecord(record), fingerprint });
  }
  return found;
}

/** Everything that follows a withdrawal is done. */
export async function closeWithdrawal(state: StateFolder, fingerprint: string): Promise<void> {
  const folder = join(state.ca.withdrawn, issuerDigits(fingerprint));
  await rm(join(folder, recordName), { force: true });
  await syncFolder(folder);
}

/** The digits in the name of an issuer's folder. */
const issuerIdDigits = 16;

async function moveToWithdrawn(state: StateFolder, from: string, digits: string): Promise<void> {
  await makeSecretFolder(state.ca.withdrawn);
  const to = join(state.ca.withdrawn, digits);
  await rm(to, { recursive: true, force: true });
  await rename(from, to);
  await syncFolder(state.ca.withdrawn);
  await syncFolder(state.ca.issuers);
}

/** A damaged record must not prevent a start: only the name of the operator is lost. */
function parsedRecord(text: string): z.infer<typeof recordSchema> {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return { actor: 'system', atMs: 0 };
  }
}
