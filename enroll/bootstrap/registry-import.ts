/**
 * Moves the registry and the audit log of a state folder into an empty database.
 *
 * The files are renamed afterward, except for those of the audit log: they are the copy that an instance has beside the
 * database. If the process ends before the last transaction, the database refuses to be used, and the next run begins
 * again. If it ends before the files are renamed, the database knows what it has imported, and the next run only
 * renames them.
 *
 * @module
 */
import { rename } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { databaseAccess } from '../../core/database/database-connection.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { FindingList } from '../../core/integrity/finding.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { textFile } from '../../core/stored-text.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { auditTexts, verifyAudit } from '../audit/audit-reader.ts';
import { readCaInventory } from '../ca/ca-inventory.ts';
import { claimAuthorities } from '../database/authority-record.ts';
import { importMark, readImportMark } from '../database/import-mark.ts';
import type { DatabaseExtent } from '../database/postgres-audit.ts';
import { copyIntoDatabase, type CopySource } from '../database/registry-copy.ts';
import { registryTerm } from '../database/registry-tables.ts';
import { lineageFile } from '../registry/lineage.ts';
import { openLowdbRegistry } from '../registry/lowdb-registry.ts';
import { readManifest } from '../registry/manifest.ts';
import { checkRegistry } from '../registry/registry-check.ts';
import { databaseText, instanceName } from './database-storage.ts';
import { hasRegistryFiles } from './file-storage.ts';

/** What the files of a state folder contain. */
export interface RegistryCounts {
  readonly devices: number;
  readonly tokens: number;
  readonly revocations: number;
  /** Of all tables. */
  readonly rows: number;
  readonly auditLines: number;
}

/** Whether a state folder has a registry that an import would move. */
export function hasRegistryToImport({ enroll }: StateFolder): Promise<boolean> {
  return hasRegistryFiles(enroll.registry);
}

/**
 * Counts what an import would move, and checks each row and each line. Changes nothing.
 *
 * @throws FlotillaError `registry-damaged`, `audit-damaged`
 */
export async function countRegistry({ enroll }: StateFolder): Promise<RegistryCounts> {
  const noted = await readManifest(enroll.registry);
  const auditLines = await verifiedLines(enroll.audit, noted?.audit);
  const findings = new FindingList();
  const { rows, rowCount } = await checkRegistry(enroll.registry, noted, findings);
  const [finding] = findings.list;
  if (finding !== undefined) {
    throw new FlotillaError(finding.code, { detail: `${finding.path}: ${finding.detail}` });
  }
  return {
    devices: rows.count('devices'),
    tokens: rows.count('tokens'),
    revocations: rows.count('revocations'),
    rows: rowCount,
    auditLines,
  };
}

async function verifiedLines(
  folder: string,
  noted?: Parameters<typeof verifyAudit>[1],
): Promise<number> {
  if (!existsSync(folder)) throw new FlotillaError('audit-missing', { detail: folder });
  const { ok, lines, detail } = await verifyAudit(folder, noted);
  if (!ok) throw new FlotillaError('audit-damaged', { detail });
  return lines;
}

/**
 * Imports the files of the state folder. No service may use them or the database.
 *
 * @returns where the files of the registry are now
 * @throws FlotillaError `registry-import-refused`, `database-…`, `registry-…`, `audit-…`
 */
export async function importRegistry(
  config: Config,
  { state, log }: { readonly state: StateFolder; readonly log: Logger },
): Promise<string> {
  const access = await databaseAccess(config.enroll);
  if (access === undefined) {
    throw new FlotillaError('config-invalid', { detail: 'enroll.database is not set' });
  }
  const lifecycle = new Lifecycle();
  await lifecycle.guard(async () => {
    const source = await openSource(state, log, lifecycle);
    const instance = instanceName(state);
    const term = await DatabaseTerm.begin({ tables: registryTerm, access, log, instance });
    if (term === undefined) throw new FlotillaError('database-in-use');
    lifecycle.add('database', () => term.close());
    const mark = await readImportMark(databaseText(term, importMark));
    const { number, auditSeq, auditHash } = source.extent;
    const isImported =
      mark?.state === 'ended' &&
      mark.number === number &&
      mark.auditSeq === auditSeq &&
      mark.auditHash === auditHash;
    if (!isImported) {
      const inventory = await readCaInventory(state);
      if (mark?.state === 'begun') await deleteUnfinished(term);
      else await assertEmpty(term);
      await claimAuthorities(databaseText(term, 'authorities'), { inventory }, instance);
      await copyIntoDatabase(term, source);
    }
    await lifecycle.close();
  });
  const { registry, crlNumber } = state.enroll;
  // The registry last: without it, there is nothing to import.
  await moveAway(crlNumber);
  return moveAway(registry);
}

/** Opens the files as a start of the service does, so that everything that a crash has left is complete. */
async function openSource(
  { enroll }: StateFolder,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<CopySource> {
  const clock = systemClock;
  const audit = await AuditLog.open(enroll.audit, clock);
  lifecycle.add('audit log', () => audit.close());
  const registry = await openLowdbRegistry(enroll.registry, {
    ...{ clock, log, sink: audit.sink, auditedCommit: audit.openedCommit },
    auditHead: () => audit.head,
  });
  lifecycle.add('registry', () => registry.close());
  await verifiedLines(enroll.audit);
  const texts = new Map<string, string>();
  const files = { history: join(enroll.registry, lineageFile), 'crl-number': enroll.crlNumber };
  for (const [name, path] of Object.entries(files)) {
    const text = await textFile(path).read();
    if (text !== undefined) texts.set(name, text);
  }
  const { seq: auditSeq, hash: auditHash } = audit.head;
  const extent: DatabaseExtent = { number: registry.number, auditSeq, auditHash };
  return { registry, lines: auditTexts(enroll.audit), texts, extent };
}

/** @throws FlotillaError `registry-import-refused` */
async function assertEmpty(term: DatabaseTerm): Promise<void> {
  const [found] = await term.read<{ used: boolean }>(
    `SELECT number > 0 OR audit_seq > 0
       OR EXISTS (SELECT FROM flotilla.registry_row) OR EXISTS (SELECT FROM flotilla.audit_line)
       OR EXISTS (SELECT FROM flotilla.stored_text WHERE name NOT IN ('authorities', $1)) AS used
     FROM flotilla.registry`,
    [importMark],
  );
  if (found?.used !== false) throw new FlotillaError('registry-import-refused');
}

/** The session that holds the lock deletes, so that no other instance can have begun to write. */
async function deleteUnfinished(term: DatabaseTerm): Promise<void> {
  await term.read('TRUNCATE flotilla.registry_row, flotilla.audit_line, flotilla.removal');
  await term.read("DELETE FROM flotilla.stored_text WHERE name NOT IN ('authorities', $1)", [
    importMark,
  ]);
}

/** Renames a file or folder if it exists. @returns its new path */
async function moveAway(path: string): Promise<string> {
  if (!existsSync(path)) return path;
  const usual = `${path}.imported`;
  const moved = existsSync(usual) ? `${usual}-${systemClock.now()}` : usual;
  await rename(path, moved);
  return moved;
}
