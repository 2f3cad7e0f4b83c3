/**
 * Writes a complete registry into a new folder, with the versions that its rows have.
 *
 * @module
 */
import { join } from 'node:path';
import { openAppendFile } from '../../core/append-file.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { textFile } from '../../core/stored-text.ts';
import { journalPath } from './journal-files.ts';
import { lineageFile } from './lineage.ts';
import type { AuditHead } from './loss-check.ts';
import type { Registry } from './registry.ts';
import { RegistryRows, tableNames } from './registry-rows.ts';

export interface WrittenRegistry {
  readonly registry: Pick<Registry, 'rows' | 'number'>;
  /** The last line of the audit log. */
  readonly audit: AuditHead;
  readonly history: string | undefined;
}

/**
 * The files are durable when the promise resolves. Until the manifest is there, the folder is no registry.
 *
 * @param folder does not exist yet
 * @returns the number of rows
 * @throws FlotillaError `file-write-failed`
 */
export async function writeRegistryFiles(
  folder: string,
  { registry, audit, history }: WrittenRegistry,
): Promise<number> {
  const journal = 1;
  await makeSecretFolder(folder);
  const rows = new RegistryRows(folder, () => Promise.resolve());
  await rows.prepare();
  for (const table of tableNames) {
    for await (const row of registry.rows(table)) rows.replay({ put: [[table, row]], del: [] });
  }
  for (const shard of rows.shards) await shard.write();
  if (history !== undefined) await textFile(join(folder, lineageFile)).write(history);
  const file = await openAppendFile(journalPath(folder, journal));
  await file.flush();
  await file.close();
  await rows.writeManifest({ number: registry.number, journal, audit });
  return tableNames.reduce((sum, table) => sum + rows.count(table), 0);
}
