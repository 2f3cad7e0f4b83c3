/**
 * What the enrollment service stores, in the files of its state folder: registry, audit log, history, CRL numbers.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { holdsIdentity } from '../../core/identity-folder.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { textFile, type StoredText } from '../../core/stored-text.ts';
import { AuditLog } from '../audit/audit-log.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { Lineage, lineageFile } from '../registry/lineage.ts';
import { openLowdbRegistry } from '../registry/lowdb-registry.ts';
import type { Registry } from '../registry/registry.ts';

/** What the service stores, wherever it is. */
export interface EnrollStorage {
  readonly registry: Registry;
  readonly audit: AuditTrail;
  readonly lineage: Lineage;
  /** The connection to the database; undefined: the storage is files. */
  readonly connection?: { readonly isConnected: boolean } | undefined;
  /** The highest CRL number that may have been used. */
  readonly crlNumber: StoredText;
}

export interface StorageDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** What an operator accepts as lost: changes of the registry, or the audit log. */
  readonly acceptLoss: 'registry' | 'audit' | undefined;
}

/** @throws FlotillaError `registry-…`, `audit-…` */
export async function openFileStorage(
  state: StateFolder,
  { clock, log, acceptLoss }: StorageDeps,
  lifecycle: Lifecycle,
): Promise<EnrollStorage> {
  const audit = await AuditLog.open(state.enroll.audit, clock);
  lifecycle.add('audit log', () => audit.close());
  if (acceptLoss !== 'registry') await assertRegistryExists(state);
  let from = 0;
  const registry = await openLowdbRegistry(state.enroll.registry, {
    clock,
    log,
    sink: audit.sink,
    auditedCommit: audit.openedCommit,
    auditHead: () => audit.head,
    opened: (number) => (from = number),
    acceptLoss,
  });
  lifecycle.add('registry', () => registry.close());
  const history = textFile(join(state.enroll.registry, lineageFile));
  const audited = audit.openedCommit;
  const lineage = await Lineage.begin(history, { from, audited, nowMs: clock.now() });
  return { registry, audit, lineage, crlNumber: textFile(state.enroll.crlNumber) };
}

/**
 * An empty registry would admit no device. The service's own certificate is issued after the registry was
 * created, so that it proves that there was one.
 *
 * @throws FlotillaError `registry-missing`
 */
async function assertRegistryExists({ enroll }: StateFolder): Promise<void> {
  if (!(await holdsIdentity(enroll.tls)) || (await hasRegistryFiles(enroll.registry))) return;
  const isImported = existsSync(`${enroll.registry}.imported`);
  throw new FlotillaError('registry-missing', {
    detail: isImported
      ? `${enroll.registry}: it was moved into a database, and enroll.database is not set`
      : enroll.registry,
  });
}

/** Whether a folder has the rows of a registry. */
export async function hasRegistryFiles(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  return names.some((name) => name !== 'lock' && name !== lineageFile);
}
