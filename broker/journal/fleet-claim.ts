/**
 * Which broker, and the sessions of which fleet: a database with the sessions of another fleet is not touched.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';

/** Names a broker for people. */
export function brokerInstance({ root }: StateFolder): string {
  return `${hostname()}:${root}`;
}

/** Fingerprints of the roots that a broker trusts: the certificates that are their own issuer. */
export async function fleetRoots({ broker }: StateFolder): Promise<string[]> {
  const text = await readFile(identityFiles(broker.identity).ca, 'utf8').catch(() => '');
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const certificates = blocks.map((pem) => new X509Certificate(pem));
  return certificates
    .filter(({ issuer, subject }) => issuer === subject)
    .map(({ fingerprint256 }) => fingerprint256.replaceAll(':', '').toLowerCase());
}

/**
 * Notes the roots of this fleet: the sessions of another one are not touched.
 *
 * @param store the name of the store
 * @throws FlotillaError `database-ca-differs`
 */
export async function claimFleet(
  term: DatabaseTerm,
  store: string,
  roots: readonly string[],
): Promise<void> {
  const [found] = await term.read<{ roots: string[] }>(
    'SELECT roots FROM flotilla.broker_store WHERE store = $1',
    [store],
  );
  const known = found?.roots ?? [];
  if (known.length > 0 && !known.some((root) => roots.includes(root))) {
    throw new FlotillaError('database-ca-differs', {
      detail: `the sessions in the database belong to root ${known.join(', ')}`,
    });
  }
  await term.read('UPDATE flotilla.broker_store SET roots = $2 WHERE store = $1 AND term = $3', [
    ...[store, roots],
    term.term,
  ]);
}
