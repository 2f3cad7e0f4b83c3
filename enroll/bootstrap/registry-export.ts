/**
 * Writes the registry and the audit log of a database into the files of a new state folder.
 *
 * The registry gets its name last, after the database has noted that it was exported: no instance goes on with it there.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { makeSecretFolder, syncFolder } from '../../core/atomic-file.ts';
import { systemClock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { textFile } from '../../core/stored-text.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { verifyAudit } from '../audit/audit-reader.ts';
import { readCaInventory } from '../ca/ca-inventory.ts';
import { claimAuthorities } from '../database/authority-record.ts';
import { exportedText, importMark, readImportMark } from '../database/import-mark.ts';
import { completeCopy, readExtent } from '../database/postgres-audit.ts';
import { PostgresRegistry } from '../database/postgres-registry.ts';
import { writeText } from '../database/registry-tables.ts';
import { writeRegistryFiles } from '../registry/registry-writer.ts';
import { beginTerm, databaseText, instanceName } from './database-storage.ts';

export interface ExportDeps {
  /** Has the settings and the CA. */
  readonly state: StateFolder;
  /** The root of the new state folder. */
  readonly to: string;
  readonly log: Logger;
}

/** How much was written. */
export interface ExportedRegistry {
  readonly rows: number;
  readonly auditLines: number;
}

/**
 * Exports the database that `enroll.database` names. No instance may use it.
 *
 * @throws FlotillaError `export-target-exists`, `database-…`, `registry-…`, `audit-…`, `file-write-failed`
 */
export async function exportRegistry(
  config: Config,
  { state, to, log }: ExportDeps,
): Promise<ExportedRegistry> {
  const { enroll } = stateFolder(to);
  if (existsSync(enroll.folder)) {
    throw new FlotillaError('export-target-exists', { detail: enroll.folder });
  }
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const term = await beginTerm(state, config, log);
    if (term === undefined) {
      throw new FlotillaError('config-invalid', { detail: 'enroll.database is not set' });
    }
    lifecycle.add('database', () => term.close());
    const mark = await readImportMark(databaseText(term, importMark));
    if (mark?.state === 'begun') throw new FlotillaError('registry-import-unfinished');
    const inventory = await readCaInventory(state);
    await claimAuthorities(databaseText(term, 'authorities'), { inventory }, instanceName(state));
    await makeSecretFolder(enroll.folder);
    const extent = await readExtent(term);
    const copy = await AuditLog.open(enroll.audit, systemClock);
    lifecycle.add('audit log', () => copy.close());
    const folder = enroll.audit;
    const { end, number } = await completeCopy({
      ...{ term, extent, copy, folder, acceptLoss: undefined },
    });
    const { ok, detail, lines } = await verifyAudit(enroll.audit, end);
    if (!ok) throw new FlotillaError('audit-damaged', { detail });
    const written = (): Promise<void> => Promise.resolve();
    const registry = await PostgresRegistry.open({
      ...{ term, clock: systemClock, auditEnd: end, number, written },
    });
    lifecycle.add('registry', () => registry.close());
    const crlNumber = await databaseText(term, 'crl-number').read();
    if (crlNumber !== undefined) await textFile(enroll.crlNumber).write(crlNumber);
    const history = await databaseText(term, 'history').read();
    const part = `${enroll.registry}.part`;
    const rows = await writeRegistryFiles(part, { registry, audit: end, history });
    await term.write(writeText(importMark, exportedText));
    await rename(part, enroll.registry);
    await syncFolder(enroll.folder);
    await lifecycle.close();
    return { rows, auditLines: lines };
  });
}
