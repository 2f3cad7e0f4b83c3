/**
 * Checks the files of the embedded registry without changing them, also while a service writes them.
 *
 * **Consistency.** A service appends a commit to the journal, then to the audit log; a checkpoint writes shards,
 * then the manifest, then deletes journals. The files are read in the opposite direction: the caller reads the
 * audit log first, then journals, manifest and shards are read. So every commit of the audit log that was read
 * is found, in a journal or in the shards. If a journal is deleted meanwhile, the check is repeated.
 *
 * @module
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { z } from 'zod';
import type { FindingList } from '../../core/integrity/finding.ts';
import { issuesText } from '../../core/issue-text.ts';
import { journalPath, readJournals } from './journal-files.ts';
import { readManifest, type Manifest } from './manifest.ts';
import type { DeviceRecord, TableName } from './records.ts';
import { journalLineSchema, recordSchemas } from './record-schemas.ts';
import {
  keyOfRow,
  RegistryRows,
  tableNames,
  type AnyRow,
  type JournalLine,
} from './registry-rows.ts';

/** What the files contain. */
export interface CheckedRegistry {
  /** The newest commit. */
  readonly number: number;
  readonly rows: RegistryRows;
  readonly rowCount: number;
  /** Whether files are missing or damaged, so that more is missing in `rows`. */
  readonly isIncomplete: boolean;
}

/** Rows that are checked in one turn of the event loop. */
const rowsPerTurn = 1000;

/**
 * @param folder `state.enroll.registry`
 * @param noted the manifest as it was before the audit log was read: its journal is deleted only by a later checkpoint
 */
export async function checkRegistry(
  folder: string,
  noted: Manifest | undefined,
  findings: FindingList,
): Promise<CheckedRegistry> {
  const found = findings.count;
  const names = await readdir(folder).catch(() => []);
  if (!names.some((name) => name !== 'lock')) {
    findings.add('registry-missing', folder, 'the folder is missing or empty');
  }
  const rows = new RegistryRows(folder, () => Promise.resolve());
  const lines = await readLines(folder, noted?.journal, findings);
  const manifest = await readManifest(folder).catch((error: unknown) => {
    findings.addError(error, join(folder, 'manifest.json'));
    return undefined;
  });
  await readShards(folder, rows, manifest, findings);
  const isIncomplete = findings.count > found;
  for (const line of lines) rows.replay(line);
  const { rowCount, newest } = await checkRows(folder, rows, findings);
  const number = Math.max(manifest?.number ?? 0, newest, ...lines.slice(-1).map(({ n }) => n));
  return { number, rows, rowCount, isIncomplete };
}

/** The commits in the journals. */
async function readLines(
  folder: string,
  current: number | undefined,
  findings: FindingList,
): Promise<JournalLine[]> {
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  if (!isThere) return [];
  const lines: JournalLine[] = [];
  let newest = 0;
  try {
    const take = (json: string): void => {
      const parsed: unknown = JSON.parse(json);
      const checked = journalLineSchema.safeParse(parsed);
      const reason = checked.success
        ? checked.data.n <= newest
          ? `commit ${checked.data.n} follows commit ${newest}`
          : faultOfRows(checked.data.put)
        : reasonOf(checked.error);
      if (reason !== undefined) {
        findings.add(
          'registry-damaged',
          join(folder, 'journal'),
          `line ${lines.length + 1}: ${reason}`,
        );
        return;
      }
      // A cast at the boundary to JSON: the schemas have just checked it.
      const line = parsed as JournalLine;
      newest = line.n;
      lines.push(line);
    };
    await readJournals(folder, take, current);
  } catch (error) {
    findings.addError(error, journalPath(folder, 1), 'registry-damaged');
  }
  return lines;
}

function faultOfRows(put: readonly (readonly [TableName, unknown])[]): string | undefined {
  for (const [table, row] of put) {
    const { success, error } = recordSchemas[table].safeParse(row);
    if (!success) return `${table}: ${reasonOf(error)}`;
  }
  return undefined;
}

async function readShards(
  folder: string,
  rows: RegistryRows,
  manifest: Manifest | undefined,
  findings: FindingList,
): Promise<void> {
  for (const shard of rows.shards) {
    try {
      await shard.read();
    } catch (error) {
      findings.addError(error, join(folder, shard.name), 'registry-damaged');
    }
  }
  const existing = rows.shards.filter(({ exists }) => exists);
  const names = new Set(existing.map(({ name }) => name));
  for (const name of manifest?.shards ?? []) {
    if (!names.has(name))
      findings.add('registry-damaged', join(folder, name), 'the file is missing');
  }
  if (manifest === undefined && existing.some(({ hasChecksum }) => hasChecksum)) {
    findings.add('registry-damaged', join(folder, 'manifest.json'), 'the file is missing');
  }
}

async function checkRows(
  folder: string,
  rows: RegistryRows,
  findings: FindingList,
): Promise<{ rowCount: number; newest: number }> {
  let rowCount = 0;
  let newest = 0;
  const owners = new Owners();
  for (const table of tableNames) {
    for (const shard of rows.shardsOf(table)) {
      const path = join(folder, shard.name);
      for (const [key, row] of shard.rows) {
        newest = Math.max(newest, row.version);
        if (++rowCount % rowsPerTurn === 0) await turn();
        const reason = rowFault(rows, table, shard.name, key, row) ?? owners.clashOf(table, row);
        if (reason !== undefined) findings.add('registry-damaged', path, `${key}: ${reason}`);
      }
    }
  }
  return { rowCount, newest };
}

/** Why a row is not one that the service has written; undefined: it is. */
function rowFault(
  rows: RegistryRows,
  table: TableName,
  file: string,
  key: string,
  row: unknown,
): string | undefined {
  const { success, error } = recordSchemas[table].safeParse(row);
  if (!success) return reasonOf(error);
  // A cast at the boundary of the tables: the schema of the table has just checked the row.
  if (keyOfRow(table, row as AnyRow) !== key) return 'the row has the key of another one';
  return rows.fileOf(table, key) === file
    ? undefined
    : `the row belongs to ${rows.fileOf(table, key)}`;
}

/** Over all identities, a serial number and a key belong to one (the contract of the registry). */
class Owners {
  readonly #bySerial = new Map<string, string>();
  readonly #byKey = new Map<string, string>();

  clashOf(table: TableName, row: object): string | undefined {
    if (table !== 'devices') return undefined;
    // A cast at the boundary of the tables, as above.
    const { id, certificates } = row as DeviceRecord;
    for (const { serial, keyFingerprint } of certificates) {
      const other = this.#bySerial.get(serial) ?? this.#byKey.get(keyFingerprint);
      if (other !== undefined && other !== id) return `${other} has the same certificate or key`;
      this.#bySerial.set(serial, id);
      this.#byKey.set(keyFingerprint, id);
    }
    return undefined;
  }
}

function reasonOf({ issues }: Pick<z.ZodError, 'issues'>): string {
  return issuesText(issues.slice(0, 1));
}
