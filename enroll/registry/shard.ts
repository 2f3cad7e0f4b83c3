/**
 * One shard of a table: a lowdb database in one readable JSON file, one row per line.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { Low, type Adapter } from 'lowdb';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** The rows of one shard by their keys. */
export type Rows = Map<string, { readonly version: number }>;

/**
 * lowdb's own file adapter renames without flushing; with this one a write is durable when it resolves.
 */
class DurableJsonFile implements Adapter<Rows> {
  readonly #path: string;
  /** The length of the text that was read or written last. */
  bytes = 0;
  /** Awaited after the rows were serialized and before the old file is replaced. */
  readonly #beforeReplace: () => Promise<void>;

  constructor(path: string, beforeReplace: () => Promise<void>) {
    this.#path = path;
    this.#beforeReplace = beforeReplace;
  }

  async read(): Promise<Rows | null> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
    this.bytes = text.length;
    try {
      // A cast at the boundary to JSON: `write` below creates the file.
      const rows = JSON.parse(text) as Record<string, { readonly version: number }>;
      return new Map(Object.entries(rows));
    } catch (error) {
      throw new FlotillaError('registry-damaged', { detail: this.#path, cause: error });
    }
  }

  async write(rows: Rows): Promise<void> {
    const lines = [...rows]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, row]) => `${JSON.stringify(key)}: ${JSON.stringify(row)}`);
    const text = lines.length === 0 ? '{}\n' : `{\n${lines.join(',\n')}\n}\n`;
    await this.#beforeReplace();
    await writeFileAtomic(this.#path, text);
    this.bytes = text.length;
  }
}

export class Shard {
  readonly #low: Low<Rows>;
  readonly #file: DurableJsonFile;
  /** Whether rows changed since the file was written. */
  dirty = false;

  constructor(path: string, beforeReplace: () => Promise<void>) {
    this.#file = new DurableJsonFile(path, beforeReplace);
    this.#low = new Low<Rows>(this.#file, new Map());
  }

  get rows(): Rows {
    return this.#low.data;
  }

  /** The size of the file, in characters. */
  get bytes(): number {
    return this.#file.bytes;
  }

  read(): Promise<void> {
    return this.#low.read();
  }

  /**
   * Writes the file if rows have changed. A change during the write marks the shard as dirty again.
   */
  async write(): Promise<void> {
    if (!this.dirty) return;
    this.dirty = false;
    try {
      await this.#low.write();
    } catch (error) {
      this.dirty = true;
      throw error;
    }
  }
}
