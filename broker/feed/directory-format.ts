/**
 * The directory as a file: a first line about the whole, one line for each identity, and a last line with their
 * number. It is written and read line by line: as one text, the directory of a large fleet would be longer than a
 * string can be.
 *
 * @module
 */
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { directoryEntrySchema, type DirectoryEntry } from '../../core/protocol/feed.ts';
import { knownGenerationSchema } from '../../core/protocol/generation.ts';
import { WideMap } from '../../core/wide-map.ts';
import type { DirectoryState, SavedDirectory } from './broker-directory.ts';
import { LineSplitter } from './line-splitter.ts';

/** The longest line: an entry with the most attributes and certificates is shorter. */
const lineMaxBytes = 2 * 1024 * 1024;
/** Lines are written together until they have so many characters. */
const chunkChars = 64 * 1024;

const headShape = {
  epoch: z.string().min(1).max(64),
  sequence: z.int().min(0),
  graceMs: z.int().min(0),
  authorities: z.array(z.string()).max(16),
};
const headSchema = z.strictObject({
  version: z.literal(2),
  ...headShape,
  generation: knownGenerationSchema.optional(),
  /** Only in the file of what the broker knew before a restore. */
  sinceMs: z.int().min(0).optional(),
});
const endSchema = z.strictObject({ end: z.int().min(0) });
const endStart = '{"end":';
/** The only line of the files of earlier versions. */
const versionOneSchema = z.strictObject({
  version: z.literal(1),
  ...headShape,
  entries: z.array(directoryEntrySchema),
});
const versionOneStart = '{"version":1,';

/** What a file contains. */
export interface StoredDirectory extends Omit<SavedDirectory, 'earlier'> {
  readonly sinceMs?: number | undefined;
}

/**
 * The chunks of the file. The state is the one at the time of the call, whatever changes later.
 *
 * @param sinceMs only in the file of what the broker knew before a restore; see earlier-directory.ts
 */
export function directoryChunks(state: DirectoryState, sinceMs?: number): AsyncIterable<string> {
  const { epoch, sequence, graceMs, authorities, generation } = state;
  const head = { version: 2, epoch, sequence, graceMs, authorities, generation, sinceMs };
  const entries: DirectoryEntry[] = [];
  // An iterator of 300,000 entries would need three times as long.
  state.entries.forEach((entry) => entries.push(entry));
  return chunksOf(head, entries);
}

// eslint-disable-next-line @typescript-eslint/require-await -- the writer of files takes only this kind
async function* chunksOf(head: object, entries: readonly DirectoryEntry[]): AsyncGenerator<string> {
  let chunk = `${JSON.stringify(head)}\n`;
  for (const entry of entries) {
    chunk += `${JSON.stringify(entry)}\n`;
    if (chunk.length < chunkChars) continue;
    yield chunk;
    chunk = '';
  }
  yield `${chunk}${JSON.stringify({ end: entries.length })}\n`;
}

/** Reads a file. @returns undefined when there is none, or it is not complete */
export async function readDirectory(path: string): Promise<StoredDirectory | undefined> {
  try {
    if (!(await startsWith(path, versionOneStart))) return await readLines(path);
    const { entries, ...head } = versionOneSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return stateOf(head, new WideMap(entries.map((entry) => [entry.id, entry])));
  } catch {
    return undefined;
  }
}

async function readLines(path: string): Promise<StoredDirectory | undefined> {
  let head: z.infer<typeof headSchema> | undefined;
  let end: number | undefined;
  let count = 0;
  // Filled line by line: to make it of 300,000 entries at once takes more than 100 ms.
  const entries = new WideMap<string, DirectoryEntry>();
  for await (const line of linesOf(path)) {
    const value: unknown = JSON.parse(line);
    if (end !== undefined) return undefined;
    if (head === undefined) head = headSchema.parse(value);
    else if (line.startsWith(endStart)) end = endSchema.parse(value).end;
    else {
      const entry = directoryEntrySchema.parse(value);
      entries.set(entry.id, entry);
      count++;
    }
  }
  return head === undefined || end !== count ? undefined : stateOf(head, entries);
}

function stateOf(
  head: Omit<StoredDirectory, 'entries'>,
  entries: WideMap<string, DirectoryEntry>,
): StoredDirectory {
  const { epoch, sequence, graceMs, authorities, generation, sinceMs } = head;
  return { epoch, sequence, graceMs, authorities, generation, sinceMs, entries };
}

/** The complete lines of a file. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  const splitter = new LineSplitter(lineMaxBytes);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    yield* splitter.push(chunk);
  }
}

async function startsWith(path: string, start: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(start.length), 0, start.length, 0);
    return buffer.subarray(0, bytesRead).toString('latin1') === start;
  } finally {
    await file.close();
  }
}
