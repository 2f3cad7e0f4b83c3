/**
 * Opens the parts of an unpacked backup as a start does, so that a backup that cannot start is refused before anything
 * is replaced.
 *
 * @module
 */
import { access } from 'node:fs/promises';
import { readCertificate } from '../../certs/certificate.ts';
import { inspectStoreFile } from '../../broker/store/store-file.ts';
import { systemClock } from '../../core/clock.ts';
import { loadConfig } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { silentLog } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { AuditLog } from '../../enroll/audit/audit-log.ts';
import { verifyAudit } from '../../enroll/audit/audit-reader.ts';
import { readText } from '../../enroll/ca/ca-files.ts';
import { openLowdbRegistry } from '../../enroll/registry/lowdb-registry.ts';

export interface BackupContents {
  /** The number of identities in the registry; undefined for the state of a broker alone. */
  readonly identities: number | undefined;
  readonly auditLines: number | undefined;
}

/**
 * @throws FlotillaError `backup-damaged`, `registry-damaged`, `registry-behind-audit`, `audit-damaged`, `store-…`
 */
export async function tryBackup(state: StateFolder): Promise<BackupContents> {
  const root = await readText(state.ca.rootCert);
  if (root !== undefined) readCertificate(root);
  if (await isThere(state.broker.store)) inspectStoreFile(state.broker.store, () => undefined);
  if (!(await isThere(state.enroll.audit))) return { identities: undefined, auditLines: undefined };
  const { enroll } = await loadConfig({ file: state.config });
  if (enroll.database !== undefined) {
    // The registry is in the backups of the database; the audit log here is a copy.
    const verdict = await verifyAudit(state.enroll.audit);
    if (!verdict.ok) throw new FlotillaError('audit-damaged', { detail: verdict.detail });
    return { identities: undefined, auditLines: verdict.lines };
  }
  const audit = await AuditLog.open(state.enroll.audit, systemClock);
  try {
    const registry = await openLowdbRegistry(state.enroll.registry, {
      clock: systemClock,
      log: silentLog,
      sink: audit.sink,
      auditedCommit: audit.openedCommit,
      auditHead: () => audit.head,
    });
    const identities = await registry.count('devices');
    await registry.close();
    const verdict = await verifyAudit(state.enroll.audit);
    if (!verdict.ok) throw new FlotillaError('audit-damaged', { detail: verdict.detail });
    return { identities, auditLines: verdict.lines };
  } finally {
    await audit.close();
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
