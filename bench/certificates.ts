/**
 * P-256 certificates of a benchmark run: a CA, a server and clients. All brokers of a run use the same
 * ones.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { Authority, createRoot } from '../certs/authority.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../certs/key.ts';
import type { CertificateProfile } from '../certs/profile.ts';
import { noNames, subjectNamesOf } from '../certs/subject-names.ts';
import { systemClock } from '../core/clock.ts';
import { dayMs } from '../core/config/duration.ts';

export interface PemIdentity {
  readonly key: string;
  /** Leaf, then issuer. */
  readonly cert: string;
}

export interface RunCertificates {
  readonly folder: string;
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly ca: string;
  readonly server: PemIdentity;
  /** By name. */
  readonly clients: ReadonlyMap<string, PemIdentity>;
  /** By name: the nodes of a cluster. */
  readonly brokers: ReadonlyMap<string, PemIdentity>;
  remove(): Promise<void>;
}

/** @param brokerNames the nodes of a cluster, each with an identity of its own */
export async function makeCertificates(
  clientNames: readonly string[],
  brokerNames: readonly string[] = [],
): Promise<RunCertificates> {
  const rootKey = generateKeySync('p256');
  const root = createRoot({
    commonName: 'bench root',
    validityMs: 2 * dayMs,
    key: rootKey,
    clock: systemClock,
  });
  const authority = new Authority({ key: rootKey, certificate: root.der, clock: systemClock });
  const issue = (profile: CertificateProfile, commonName: string): PemIdentity => {
    const key = generateKeySync('p256');
    const names = profile === 'service' ? noNames : subjectNamesOf(['localhost', '127.0.0.1']);
    const leaf = authority.issue({
      spki: spkiOf(key),
      profile,
      commonName,
      names,
      validityMs: dayMs,
    });
    return { key: privateKeyPem(key), cert: leaf.pem };
  };
  const server = issue('server', 'localhost');
  const clients = new Map(clientNames.map((name) => [name, issue('service', name)]));
  const brokers = new Map(brokerNames.map((name) => [name, issue('broker', name)]));
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  const files = {
    ca: join(folder, 'ca.pem'),
    cert: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
  await writeFile(files.ca, root.pem);
  await writeFile(files.cert, server.cert);
  await writeFile(files.key, server.key, { mode: 0o600 });
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return { folder, files, ca: root.pem, server, clients, brokers, remove };
}

/**
 * The TLS context of a client's connections. TLS 1.3 only, which all brokers of a run support;
 * FLOTILLA_BENCH_TLS=1.2: TLS 1.2 only.
 */
export function clientContext(ca: string, identity: PemIdentity): SecureContext {
  return createSecureContext({
    ca,
    cert: identity.cert,
    key: identity.key,
    ...(process.env['FLOTILLA_BENCH_TLS'] === '1.2'
      ? ({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const)
      : ({ minVersion: 'TLSv1.3' } as const)),
  });
}
