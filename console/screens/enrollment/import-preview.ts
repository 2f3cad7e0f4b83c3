/** A look at a CSV file before it is imported. The service checks it again, row by row. @module */

export interface ImportPreview {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly count: number;
  /** Sentences about rows that the service would refuse. */
  readonly faults: readonly string[];
}

const shownRows = 5;
const faultsMax = 5;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** @param text CSV (RFC 4180) with a header line that has a column `id` */
export function previewImport(text: string): ImportPreview {
  const [header, ...records] = csvRecords(text);
  const columns = (header?.cells ?? []).map((column) => column.trim());
  const idAt = columns.indexOf('id');
  const faults: string[] = [];
  if (idAt < 0) faults.push('The first line needs a column "id".');
  const seen = new Set<string>();
  for (const { cells, line } of records) {
    if (idAt < 0 || faults.length >= faultsMax) break;
    const id = cells[idAt]?.trim() ?? '';
    if (!idPattern.test(id)) faults.push(`Line ${line}: "${id}" is not a device id.`);
    else if (seen.has(id)) faults.push(`Line ${line}: ${id} appears twice.`);
    seen.add(id);
  }
  return {
    columns,
    rows: records.slice(0, shownRows).map(({ cells }) => cells),
    count: records.length,
    faults,
  };
}

interface CsvRecord {
  readonly cells: readonly string[];
  /** Where it begins, counted from 1. */
  readonly line: number;
}

/** Cells in quotation marks can contain commas, line breaks, and quotation marks that are written twice. */
function csvRecords(text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/gy;
  let cells: string[] = [];
  let line = 1;
  let begin = 1;
  while (pattern.lastIndex < text.length) {
    const found = pattern.exec(text);
    // After a closing quotation mark that is not the end of a cell, the rest is not CSV.
    if (found === null) break;
    const [all, quoted, plain = '', end] = found;
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    line += all.split('\n').length - 1;
    if (end === ',') continue;
    if (cells.some((cell) => cell.trim() !== '')) records.push({ cells, line: begin });
    cells = [];
    begin = line;
  }
  if (cells.length > 0) records.push({ cells: [...cells, ''], line: begin });
  return records;
}
