/**
 * One shard of a table: a lowdb database in one readable JSON file, one row per line.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
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
  /** Whether the file exists, and whether it has a checksum: earlier versions wrote none. */
  exists = false;
  hasChecksum = false;
  /** Awaited after the rows were serialized and before the old file is replaced. */
  readonly #beforeReplace: () => Promise<void>;

  constructor(path: string, beforeReplace: () => Promise<void>) {
    this.#path = path;
    this.#beforeReplace = beforeReplace;
  }

  async read(): Promise<Rows | null> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#path);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
    this.exists = true;
    try {
      const text = bytes.toString('utf8');
      this.bytes = text.length;
      const entries = Object.entries(objectOf(JSON.parse(text)));
      const [first] = entries;
      this.hasChecksum = first?.[0] === checksumKey;
      if (this.hasChecksum) {
        entries.shift();
        if (first?.[1] !== checksumOf(bytes)) throw new Error('the checksum is wrong');
      }
      return new Map(entries.map(([key, row]) => [key, rowOf(row)]));
    } catch (error) {
      throw new FlotillaError('registry-damaged', { detail: this.#path, cause: error });
    }
  }

  async write(rows: Rows): Promise<void> {
    const lines = [...rows]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, row]) => `${JSON.stringify(key)}: ${JSON.stringify(row)}`);
    const body = lines.map((line) => `,\n${line}`).join('');
    const rest = `${body}\n}\n`;
    const text = `{\n"${checksumKey}": "${checksum(rest)}"${rest}`;
    await this.#beforeReplace();
    await writeFileAtomic(this.#path, text);
    this.bytes = text.length;
    this.exists = true;
    this.hasChecksum = true;
  }
}

/** The first entry of a file; no row has this key. Its value is the CRC-32 of everything behind it. */
const checksumKey = '$crc32';
const checksumLineMaxBytes = 32;
const checksumLine = /^\{\n"\$crc32": "[0-9a-f]{8}"/;

function objectOf(value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new Error('not an object');
}

/** Not a schema: a registry can have millions of rows, and the checksum covers the rest. */
function rowOf(value: unknown): { readonly version: number } {
  const row = objectOf(value);
  if ('version' in row && Number.isSafeInteger(row.version)) {
    // A cast at the boundary to JSON: `write` below creates the rows.
    return row as { readonly version: number };
  }
  throw new Error('a row without a version');
}

/** Over the bytes: encoding the text of a large shard again takes longer than the checksum. */
function checksumOf(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, checksumLineMaxBytes).toString('latin1');
  const [line] = checksumLine.exec(start) ?? [];
  return line === undefined ? undefined : checksum(bytes.subarray(line.length));
}

function checksum(text: string | Buffer): string {
  return crc32(text).toString(16).padStart(8, '0');
}

export class Shard {
  readonly name: string;
  readonly #low: Low<Rows>;
  readonly #file: DurableJsonFile;
  /** Whether rows changed since the file was written. */
  dirty = false;

  /** @param name relative to the registry folder */
  constructor(folder: string, name: string, beforeReplace: () => Promise<void>) {
    this.name = name;
    const path = join(folder, name);
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

  get exists(): boolean {
    return this.#file.exists;
  }

  get hasChecksum(): boolean {
    return this.#file.hasChecksum;
  }

  /** Reads the file. One of an earlier version, without a checksum, is written again. */
  async read(): Promise<void> {
    await this.#low.read();
    if (this.exists && !this.hasChecksum) this.dirty = true;
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
