/**
 * The directory on the broker's disk: a snapshot file, and a second file with the changes since then,
 * one per line. With them a broker can start while the enrollment service is unavailable, and a
 * revocation stays in force after a crash.
 *
 * @module
 */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { openAppendFile, type AppendFile, type OpenAppendFile } from '../../core/append-file.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { directoryEntrySchema, type DirectoryEntry } from '../../core/protocol/feed.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { deviceIdSchema } from '../../core/protocol/device-id-schema.ts';
import type { Directory, DirectoryState, SavedDirectory } from './broker-directory.ts';
import { directoryChunks, linesOf, readDirectory } from './directory-format.ts';
import type { EarlierDirectory } from './earlier-directory.ts';

/** A new snapshot is written after this many changes, or as many as there are entries if more. */
const changesMin = 1000;

const number = {
  epoch: z.string(),
  sequence: z.int(),
  /** The commit of the registry; undefined: the service has not said it. */
  commit: z.int().optional(),
};
const changeSchema = z.union([
  z.strictObject({ ...number, entry: directoryEntrySchema }),
  z.strictObject({ ...number, removed: deviceIdSchema }),
]);

interface ChangeNumber {
  readonly epoch: string;
  readonly sequence: number;
  readonly commit?: number | undefined;
}
/** One change, as it is stored. */
export type StoredChange =
  | (ChangeNumber & { readonly entry: DirectoryEntry })
  | (ChangeNumber & { readonly removed: string });

/** What writes to the disk: replaced in tests that make it fail. */
export interface DirectoryDisk {
  readonly openFile: OpenAppendFile;
  writeFile(path: string, content: AsyncIterable<string>): Promise<void>;
}

export class DirectoryFile {
  readonly #path: string;
  readonly #disk: DirectoryDisk;
  readonly #changesPath: string;
  readonly #earlierPath: string;
  #writtenEarlier: EarlierDirectory | undefined;
  #changesFile: AppendFile | undefined;
  #changesBytes = 0;
  #changesWritten = 0;
  /** Whether a snapshot must be written first: none was, or a write failed. Changes behind a gap are useless. */
  #isBehind = true;

  constructor(
    path: string,
    disk: DirectoryDisk = { openFile: openAppendFile, writeFile: writeFileAtomic },
  ) {
    this.#path = path;
    this.#disk = disk;
    this.#changesPath = `${path}.changes`;
    this.#earlierPath = `${path}.earlier`;
  }

  /** The files. All but the snapshot may be missing. */
  get paths(): { readonly snapshot: string; readonly changes: string; readonly earlier: string } {
    return { snapshot: this.#path, changes: this.#changesPath, earlier: this.#earlierPath };
  }

  /**
   * Reads the stored directory. Undefined when there is none or it cannot be read: then the feed sends
   * a complete snapshot.
   */
  async read(): Promise<SavedDirectory | undefined> {
    const snapshot = await readDirectory(this.#path);
    if (snapshot === undefined) return undefined;
    const { epoch, entries } = snapshot;
    let { sequence, generation } = snapshot;
    for await (const line of changesIn(this.#changesPath)) {
      const change = changeSchema.safeParse(parse(line));
      // A crash may have truncated the last line. Lines after a gap cannot be used.
      if (!change.success || change.data.epoch !== epoch) break;
      if (change.data.sequence <= sequence) continue;
      if (change.data.sequence !== sequence + 1) break;
      const { commit } = change.data;
      sequence = change.data.sequence;
      if (generation !== undefined && commit !== undefined) generation = { ...generation, commit };
      if ('entry' in change.data) entries.set(change.data.entry.id, change.data.entry);
      else entries.delete(change.data.removed);
    }
    const { graceMs, authorities } = snapshot;
    const earlier = await this.#readEarlier();
    return { epoch, sequence, graceMs, authorities, generation, entries, earlier };
  }

  /** What the broker knew before the registry of the service was restored; undefined: it was not. */
  async #readEarlier(): Promise<EarlierDirectory | undefined> {
    const stored = await readDirectory(this.#earlierPath);
    if (stored?.generation === undefined || stored.sinceMs === undefined) return undefined;
    const { sinceMs, generation, entries } = stored;
    return { sinceMs, generation, entries };
  }

  /** Before the first snapshot of a restored service replaces what the broker knows. */
  async #writeEarlier(state: DirectoryState): Promise<void> {
    const { earlier } = state;
    if (earlier === this.#writtenEarlier) return;
    if (earlier !== undefined) {
      const { entries, generation, sinceMs } = earlier;
      const chunks = directoryChunks({ ...state, entries, generation }, sinceMs);
      await this.#disk.writeFile(this.#earlierPath, chunks);
    }
    this.#writtenEarlier = earlier;
  }

  /**
   * Appends changes. They are on the disk when the promise resolves. After a failure a complete snapshot is
   * written instead, until one succeeds.
   *
   * @throws FlotillaError `file-write-failed`: the changes may be missing on the disk
   */
  async append(changes: readonly StoredChange[], directory: Directory): Promise<void> {
    const isFull = this.#changesWritten + changes.length > Math.max(changesMin, directory.size);
    if (this.#isBehind || isFull) {
      await this.writeSnapshot(directory.state());
      return;
    }
    const bytes = Buffer.from(changes.map((change) => `${JSON.stringify(change)}\n`).join(''));
    try {
      this.#changesFile ??= await this.#openChanges();
      await this.#changesFile.append(bytes, this.#changesBytes);
      await this.#changesFile.flush();
    } catch (error) {
      this.#isBehind = true;
      throw new FlotillaError('file-write-failed', { detail: this.#changesPath, cause: error });
    }
    this.#changesBytes += bytes.length;
    this.#changesWritten += changes.length;
  }

  /** Opens an empty file: what an earlier run has left is in the snapshot. */
  async #openChanges(): Promise<AppendFile> {
    const file = await this.#disk.openFile(this.#changesPath);
    await file.truncate(0);
    this.#changesBytes = 0;
    return file;
  }

  /** Writes a snapshot. It is on the disk when the promise resolves. @throws FlotillaError `file-write-failed` */
  async writeSnapshot(state: DirectoryState): Promise<void> {
    // Taken before the first wait: what changes later is not part of it.
    const chunks = directoryChunks(state);
    this.#isBehind = true;
    await makeSecretFolder(dirname(this.#path));
    await this.#writeEarlier(state);
    await this.#disk.writeFile(this.#path, chunks);
    if (state.earlier === undefined) await rm(this.#earlierPath, { force: true });
    await this.#changesFile?.close();
    this.#changesFile = undefined;
    this.#changesWritten = 0;
    await rm(this.#changesPath, { force: true });
    this.#isBehind = false;
  }

  async close(): Promise<void> {
    await this.#changesFile?.close();
    this.#changesFile = undefined;
  }
}

/** The lines of the file of changes, which need not exist. */
async function* changesIn(path: string): AsyncGenerator<string> {
  try {
    yield* linesOf(path);
  } catch {
    return;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
