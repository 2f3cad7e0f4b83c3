/**
 * The files of the audit log: `audit-000001.jsonl`, `audit-000002.jsonl`, …
 *
 * @module
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** The numbers of the files in a folder, lowest first. */
export async function auditFileNumbers(folder: string): Promise<number[]> {
  return (await readdir(folder))
    .map((name) => Number(/^audit-(\d{6,})\.jsonl$/.exec(name)?.[1] ?? Number.NaN))
    .filter((number) => !Number.isNaN(number))
    .sort((one, other) => one - other);
}

export function auditFilePath(folder: string, number: number): string {
  return join(folder, `audit-${String(number).padStart(6, '0')}.jsonl`);
}

/**
 * Old files may be moved elsewhere; one between two others may not be missing.
 *
 * @throws FlotillaError `audit-damaged`
 */
export function assertNoGap(folder: string, numbers: readonly number[]): void {
  const [first = 1] = numbers;
  const at = numbers.findIndex((number, place) => number !== first + place);
  if (at === -1) return;
  const missing = auditFilePath(folder, first + at);
  throw new FlotillaError('audit-damaged', { detail: `${missing} is missing` });
}
