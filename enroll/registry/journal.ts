/**
 * The registry's journal: an append-only file in which each line is a complete commit. A line is eight
 * hexadecimal digits of CRC-32, a space, JSON, and a line feed.
 *
 * Lines that are appended during a flush share the next flush (group commit). A crash can leave an incomplete
 * last line; it was never acknowledged, so the next start removes it. A damaged line that is followed by
 * complete lines is an error, and the registry does not open.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { AppendFile } from '../../core/append-file.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';

export class Journal {
  readonly path: string;
  readonly #file: AppendFile;
  #bytes: number;
  /** Whether the file may have bytes after its complete lines, which the next start must not read. */
  #isDirty = false;

  constructor(path: string, file: AppendFile, bytes: number) {
    this.path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** The length of the file in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Appends lines and flushes once. Must not be called again before it is done.
   *
   * @throws FlotillaError `registry-unavailable`: none of the lines will exist after a restart. The next call
   *   repairs the file first, and fails as long as that is not possible.
   */
  async append(lines: readonly string[]): Promise<void> {
    const bytes = Buffer.from(lines.map(encodeLine).join(''));
    try {
      await this.repair();
      this.#isDirty = true;
      await this.#file.append(bytes, this.#bytes);
      await this.#file.flush();
      this.#isDirty = false;
      this.#bytes += bytes.length;
    } catch (error) {
      await this.repair().catch(() => undefined);
      throw isFlotillaError(error) ? error : this.#unavailable(error);
    }
  }

  /**
   * Removes what was appended after the file had `bytes` bytes, as if it had never been written.
   *
   * @throws FlotillaError `registry-unavailable`; the next {@link append} tries again
   */
  async cutTo(bytes: number): Promise<void> {
    this.#bytes = bytes;
    this.#isDirty = true;
    await this.repair();
  }

  /**
   * Removes what a failed write has left.
   *
   * @throws FlotillaError `registry-unavailable`
   */
  async repair(): Promise<void> {
    if (!this.#isDirty) return;
    try {
      await this.#file.truncate(this.#bytes);
      await this.#file.flush();
      this.#isDirty = false;
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #unavailable(cause: unknown): FlotillaError {
    return new FlotillaError('registry-unavailable', { detail: this.path, cause });
  }
}

/**
 * Reads a journal: the JSON of its complete lines, and their length in bytes.
 *
 * @throws FlotillaError `registry-damaged`
 */
export async function readJournal(path: string): Promise<{ lines: string[]; bytes: number }> {
  const content = await readFile(path);
  const lines: string[] = [];
  let start = 0;
  for (;;) {
    const end = content.indexOf(10, start);
    if (end === -1) return { lines, bytes: start };
    const line = decodeLine(content.subarray(start, end));
    if (line === undefined) {
      if (!wholeLineFollows(content, end + 1)) return { lines, bytes: start };
      throw new FlotillaError('registry-damaged', {
        detail: `${path}, line ${lines.length + 1}, byte ${start}`,
      });
    }
    lines.push(line);
    start = end + 1;
  }
}

/** One line of the file. */
export function encodeLine(json: string): string {
  return `${checksum(json)} ${json}\n`;
}

function decodeLine(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  const json = text.slice(9);
  return text[8] === ' ' && text.slice(0, 8) === checksum(json) ? json : undefined;
}

function wholeLineFollows(content: Buffer, from: number): boolean {
  for (let start = from; ;) {
    const end = content.indexOf(10, start);
    if (end === -1) return false;
    if (decodeLine(content.subarray(start, end)) !== undefined) return true;
    start = end + 1;
  }
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0');
}
