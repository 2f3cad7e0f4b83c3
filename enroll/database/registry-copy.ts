/**
 * Writes all rows and lines of another registry into an empty database, in transactions of bounded size. They are part
 * of the registry when the last one has set its numbers and the mark of the import.
 *
 * @module
 */
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { chainStart, lineOf } from '../audit/audit-chain.ts';
import type { Registry } from '../registry/registry.ts';
import { keyOfRow, tableNames } from '../registry/registry-rows.ts';
import { importMark, importMarkText } from './import-mark.ts';
import type { DatabaseExtent } from './postgres-audit.ts';
import { writeNumbers, writeRows, writeText, type RowWrites } from './registry-tables.ts';

/** Limits of one transaction. */
const pageMaxItems = 1000;
const pageMaxChars = 4 * 1024 * 1024;

/** What is copied. */
export interface CopySource {
  readonly registry: Pick<Registry, 'rows'>;
  /** The lines of the audit log without line breaks, oldest first. */
  readonly lines: AsyncIterable<string>;
  /** Texts by their names, such as the history. */
  readonly texts: ReadonlyMap<string, string>;
  /** Where the source ends. */
  readonly extent: DatabaseExtent;
}

/** @throws FlotillaError `registry-unavailable`, `audit-damaged` */
export async function copyIntoDatabase(term: DatabaseTerm, source: CopySource): Promise<void> {
  const { registry, lines, texts, extent } = source;
  await term.write(writeText(importMark, importMarkText(undefined)));
  // Until the end, the registry has the numbers of an empty one.
  const nothing = { number: 0, auditSeq: 0, auditHash: chainStart, deletions: [], removals: [] };
  for (const table of tableNames) {
    for await (const puts of pages(rowsOf(registry, table), ({ body }) => body.length)) {
      await term.write(writeRows({ ...nothing, puts, lines: [] }));
    }
  }
  for await (const page of pages(linesOf(lines), ({ text }) => text.length)) {
    await term.write(writeRows({ ...nothing, puts: [], lines: page }));
  }
  for (const [name, text] of texts) await term.write(writeText(name, text));
  await term.write(writeNumbers(extent, importMark, importMarkText(extent)));
}

async function* rowsOf(
  registry: Pick<Registry, 'rows'>,
  table: (typeof tableNames)[number],
): AsyncGenerator<RowWrites['puts'][number]> {
  for await (const { version, ...record } of registry.rows(table)) {
    const key = keyOfRow(table, record);
    yield { table, key, version, body: JSON.stringify(record) };
  }
}

async function* linesOf(texts: AsyncIterable<string>): AsyncGenerator<RowWrites['lines'][number]> {
  for await (const text of texts) {
    const line = lineOf(text);
    if (line === undefined) throw new FlotillaError('audit-damaged');
    yield { seq: line.seq, commit: line.commit, text };
  }
}

async function* pages<T>(
  items: AsyncIterable<T>,
  charsOf: (item: T) => number,
): AsyncGenerator<readonly T[]> {
  let page: T[] = [];
  let chars = 0;
  for await (const item of items) {
    page.push(item);
    chars += charsOf(item);
    if (page.length < pageMaxItems && chars < pageMaxChars) continue;
    yield page;
    page = [];
    chars = 0;
  }
  if (page.length > 0) yield page;
}
