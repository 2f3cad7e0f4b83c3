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

/** @param text CSV with a header line that has a column `id` */
export function previewImport(text: string): ImportPreview {
  const [header = '', ...lines] = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const columns = header.split(',').map((column) => column.trim());
  const idAt = columns.indexOf('id');
  const faults: string[] = [];
  if (idAt < 0) faults.push('The first line needs a column "id".');
  const seen = new Set<string>();
  for (const [at, line] of lines.entries()) {
    if (idAt < 0 || faults.length >= faultsMax) break;
    const id = line.split(',')[idAt]?.trim() ?? '';
    if (!idPattern.test(id)) faults.push(`Line ${at + 2}: "${id}" is not a device id.`);
    else if (seen.has(id)) faults.push(`Line ${at + 2}: ${id} appears twice.`);
    seen.add(id);
  }
  return {
    columns,
    rows: lines.slice(0, shownRows).map((line) => line.split(',')),
    count: lines.length,
    faults,
  };
}
