/**
 * Writes the state folder of a measured Flotilla broker: its identity, and the directory of the run's
 * clients and brokers as the feed would deliver it. The policy is the default policy.
 *
 * @module
 */
import { join } from 'node:path';
import { DirectoryFile } from '../broker/feed/directory-file.ts';
import { readCertificate } from '../certs/certificate.ts';
import { makeSecretFolder, writeFileAtomic } from '../core/atomic-file.ts';
import { parseDeviceId } from '../core/device-id.ts';
import type { DirectoryEntry } from '../core/protocol/feed.ts';
import { identityFiles, stateFolder } from '../core/state-folder.ts';
import type { RunCertificates } from './certificates.ts';

/** Writes the state into `{folder}/state`. */
export async function writeBenchState(certificates: RunCertificates): Promise<void> {
  const state = stateFolder(join(certificates.folder, 'state'));
  await makeSecretFolder(state.broker.identity);
  const files = identityFiles(state.broker.identity);
  const { server, ca } = certificates;
  await writeFileAtomic(files.key, server.key);
  await writeFileAtomic(files.cert, server.cert);
  await writeFileAtomic(files.chain, server.cert);
  await writeFileAtomic(files.ca, ca);
  const known = [...certificates.clients, ...certificates.brokers];
  const entries = known.map(([name, { cert }]): [string, DirectoryEntry] => {
    const facts = readCertificate(cert);
    const role = certificates.brokers.has(name)
      ? 'broker'
      : name.startsWith('device')
        ? 'device'
        : 'service';
    const certificate = {
      serial: facts.serial,
      fingerprint: facts.fingerprint,
      notBeforeMs: facts.notBeforeMs,
      notAfterMs: facts.notAfterMs,
      status: 'active',
    } as const;
    return [
      name,
      {
        id: parseDeviceId(name),
        role,
        status: 'active',
        group: null,
        attributes: {},
        certificates: [certificate],
      },
    ];
  });
  const directory = new DirectoryFile(state.broker.directory);
  await directory.writeSnapshot({
    epoch: 'bench',
    sequence: 1,
    graceMs: 0,
    authorities: [ca],
    entries: new Map(entries),
  });
  await directory.close();
}
