/**
 * Checks the directory on the disk of a broker without changing it.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import type { FindingList } from '../../core/integrity/finding.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { DirectoryFile } from './directory-file.ts';

/**
 * Reads the stored directory as a start of the broker does.
 *
 * @param path `state.broker.directory`
 * @returns the entries by id; undefined when there is no usable directory
 */
export async function checkDirectory(
  path: string,
  findings: FindingList,
): Promise<ReadonlyMap<string, DirectoryEntry> | undefined> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  const state = await new DirectoryFile(path).read();
  if (state === undefined) {
    findings.add('directory-damaged', path, 'it cannot be read');
    return undefined;
  }
  const changesPath = `${path}.changes`;
  const changes = await readFile(changesPath, 'utf8').catch(() => '');
  const fault = changesFault(changes, state);
  if (fault !== undefined) findings.add('directory-damaged', changesPath, fault);
  return state.entries;
}

/**
 * Why the reader stopped before the last complete line. Changes of an earlier epoch are left when a crash came
 * right after a new snapshot, and are not used.
 */
function changesFault(
  text: string,
  { epoch, sequence }: { readonly epoch: string; readonly sequence: number },
): string | undefined {
  // A last line without its end is being written, or a crash interrupted it.
  const lines = text.split('\n').slice(0, -1);
  for (const [at, line] of lines.entries()) {
    const mark = markOf(line);
    if (mark === undefined) return `line ${at + 1} is damaged`;
    if (mark.epoch === epoch && mark.sequence > sequence)
      return `a change is missing before line ${at + 1}`;
  }
  return undefined;
}

function markOf(line: string): { epoch: unknown; sequence: number } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('epoch' in value) || !('sequence' in value)) return undefined;
    const { epoch, sequence } = value;
    return typeof sequence === 'number' ? { epoch, sequence } : undefined;
  } catch {
    return undefined;
  }
}
