/**
 * The registry's journal: one file of lines, each a whole commit, that only grows. A line is eight
 * hexadecimal digits of CRC-32, a space, JSON, a line feed.
 *
 * Lines that are appended while a flush is under way share the next one (group commit). A crash can
 * tear the last line; a torn tail was never acknowledged, so it is cut off at the next start. A line
 * that is wrong with whole lines behind it is damage, and nothing goes on.
 *
 * @module
 */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { dirname } from 'node:path';
import { secretFileMode, syncFolder } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** What a journal does to the disk: replaced in tests that make it fail. */
export interface JournalFile {
  append(bytes: Buffer, offset: number): Promise<void>;
  /** Resolves when all that was appended survives a power cut. */
  flush(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export type OpenJournalFile = (path: string) => Promise<JournalFile>;

/** Opens, and makes if missing, a file on the real disk. */
export const openJournalFile: OpenJournalFile = async (path) => {
  const file: FileHandle = await open(path, 'a+', secretFileMode);
  await file.close();
  await syncFolder(dirname(path));
  const handle = await open(path, 'r+');
  return {
    async append(bytes, offset) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, undefined, offset + done);
        done += bytesWritten;
      }
    },
    flush: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    close: () => handle.close(),
  };
};

export class Journal {
  readonly path: string;
  readonly #file: JournalFile;
  #bytes: number;
  #broken: unknown;

  constructor(path: string, file: JournalFile, bytes: number) {
    this.path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** How long the file is, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Appends lines and flushes once. Not to be called again before it is done.
   *
   * @throws FlotillaError `registry-unavailable`: none of the lines will be there after a restart.
   *   When even that cannot be made sure, every later call fails too.
   */
  async append(lines: readonly string[]): Promise<void> {
    if (this.#broken !== undefined) throw this.#unavailable(this.#broken);
    const bytes = Buffer.from(lines.map(encodeLine).join(''));
    try {
      await this.#file.append(bytes, this.#bytes);
      await this.#file.flush();
      this.#bytes += bytes.length;
    } catch (error) {
      try {
        await this.#file.truncate(this.#bytes);
        await this.#file.flush();
      } catch (second) {
        this.#broken = second;
      }
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
 * Reads a journal: the JSON texts of its whole lines, and how many bytes those are.
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

/** One line as it stands in the file. */
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
