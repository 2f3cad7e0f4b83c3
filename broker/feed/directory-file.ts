/**
 * The directory on the broker's disk: a snapshot file, and a second file with the changes since then,
 * one per line. With them a broker can start while the enrollment service is unavailable, and a
 * revocation stays in force after a crash.
 *
 * @module
 */
import { open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { makeSecretFolder, secretFileMode, writeFileAtomic } from '../../core/atomic-file.ts';
import { directoryEntrySchema, type DirectoryEntry } from '../../core/protocol/feed.ts';
import { deviceIdSchema } from '../../core/protocol/device-id-schema.ts';
import type { Directory, DirectoryState } from './broker-directory.ts';

/** A new snapshot is written after this many changes, or as many as there are entries if more. */
const changesMin = 1000;

const snapshotSchema = z.strictObject({
  version: z.literal(1),
  epoch: z.string().min(1).max(64),
  sequence: z.int().min(0),
  graceMs: z.int().min(0),
  authorities: z.array(z.string()).max(16),
  entries: z.array(directoryEntrySchema),
});

const changeSchema = z.union([
  z.strictObject({ epoch: z.string(), sequence: z.int(), entry: directoryEntrySchema }),
  z.strictObject({ epoch: z.string(), sequence: z.int(), removed: deviceIdSchema }),
]);

/** One change, as it is stored. */
export type StoredChange =
  | { readonly epoch: string; readonly sequence: number; readonly entry: DirectoryEntry }
  | { readonly epoch: string; readonly sequence: number; readonly removed: string };

export class DirectoryFile {
  readonly #path: string;
  readonly #changesPath: string;
  #changesFile: FileHandle | undefined;
  #changesWritten = 0;

  constructor(path: string) {
    this.#path = path;
    this.#changesPath = `${path}.changes`;
  }

  /**
   * Reads the stored directory. Undefined when there is none or it cannot be read: then the feed sends
   * a complete snapshot.
   */
  async read(): Promise<DirectoryState | undefined> {
    const snapshot = snapshotSchema.safeParse(parse(await textOf(this.#path)));
    if (!snapshot.success) return undefined;
    const { epoch, graceMs, authorities } = snapshot.data;
    let { sequence } = snapshot.data;
    const entries = new Map(snapshot.data.entries.map((entry) => [entry.id as string, entry]));
    for (const line of (await textOf(this.#changesPath)).split('\n')) {
      if (line === '') continue;
      const change = changeSchema.safeParse(parse(line));
      // A crash may have truncated the last line. Lines after a gap cannot be used.
      if (!change.success || change.data.epoch !== epoch) break;
      if (change.data.sequence <= sequence) continue;
      if (change.data.sequence !== sequence + 1) break;
      sequence = change.data.sequence;
      if ('entry' in change.data) entries.set(change.data.entry.id, change.data.entry);
      else entries.delete(change.data.removed);
    }
    return { epoch, sequence, graceMs, authorities, entries };
  }

  /** Appends changes. They are on the disk when the promise resolves. */
  async append(changes: readonly StoredChange[], directory: Directory): Promise<void> {
    if (this.#changesWritten + changes.length > Math.max(changesMin, directory.size)) {
      await this.writeSnapshot(directory.state());
      return;
    }
    this.#changesFile ??= await open(this.#changesPath, 'a', secretFileMode);
    await this.#changesFile.appendFile(
      changes.map((change) => `${JSON.stringify(change)}\n`).join(''),
    );
    await this.#changesFile.datasync();
    this.#changesWritten += changes.length;
  }

  /** Writes a snapshot. It is on the disk when the promise resolves. */
  async writeSnapshot(state: DirectoryState): Promise<void> {
    const { epoch, sequence, graceMs, authorities } = state;
    const entries = [...state.entries.values()];
    await makeSecretFolder(dirname(this.#path));
    await writeFileAtomic(
      this.#path,
      JSON.stringify({ version: 1, epoch, sequence, graceMs, authorities, entries }),
    );
    await this.#changesFile?.close();
    this.#changesFile = undefined;
    this.#changesWritten = 0;
    await rm(this.#changesPath, { force: true });
  }

  async close(): Promise<void> {
    await this.#changesFile?.close();
    this.#changesFile = undefined;
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
