/**
 * The journal files of a registry folder: `journal-00000007.jsonl`, numbered without gaps.
 *
 * @module
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { readJournal } from './journal.ts';

export function journalPath(folder: string, number: number): string {
  return join(folder, `journal-${String(number).padStart(8, '0')}.jsonl`);
}

/** The numbers of the files that exist, lowest first. */
export async function journalNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .map((name) => Number(/^journal-(\d{8,})\.jsonl$/.exec(name)?.[1] ?? Number.NaN))
    .filter((number) => !Number.isNaN(number))
    .sort((one, other) => one - other);
}

/** The journals that a start found. */
export interface FoundJournals {
  readonly count: number;
  /** The number of the newest one, to which new lines are appended; 1 when there is none. */
  readonly newest: number;
  /** The length of the newest one without a torn last line. */
  readonly newestBytes: number;
}

/**
 * Reads all journals in the order of their numbers.
 *
 * @param take called with each line's JSON
 * @param current a journal that must exist: that of the manifest
 * @throws FlotillaError `registry-damaged` when one is missing or a line before the last is damaged
 */
export async function readJournals(
  folder: string,
  take: (json: string) => void,
  current?: number,
): Promise<FoundJournals> {
  const numbers = await journalNumbers(folder);
  if (current !== undefined && !numbers.includes(current)) {
    throw new FlotillaError('registry-damaged', {
      detail: `${journalPath(folder, current)} is missing`,
    });
  }
  let newestBytes = 0;
  for (const [at, number] of numbers.entries()) {
    if (at > 0 && number !== (numbers[at - 1] ?? 0) + 1) {
      throw new FlotillaError('registry-damaged', {
        detail: `${journalPath(folder, number - 1)} is missing`,
      });
    }
    const { lines, bytes } = await readJournal(journalPath(folder, number));
    for (const json of lines) take(json);
    newestBytes = bytes;
  }
  return { count: numbers.length, newest: numbers.at(-1) ?? 1, newestBytes };
}
