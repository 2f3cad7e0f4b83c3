/**
 * The numbers of the CRLs. They grow over restarts, and also when the clock is set back (RFC 5280, 5.2.3), so
 * the highest one that may have been used is kept in a file. A file write for each list would be slow: numbers
 * are reserved in blocks, and a restart continues behind the last block.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import type { Clock } from '../../core/clock.ts';

/** How many numbers are reserved at once. Numbers are ms since 1970 where possible, so this is one hour. */
const blockSize = 3_600_000;

export class CrlNumber {
  readonly #path: string;
  readonly #clock: Clock;
  #last = 0;
  /** The highest number that is reserved; undefined until the file was read. */
  #reserved: number | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** A number above all earlier ones. Not to be called again before it is done. @throws FlotillaError `file-write-failed` */
  async next(): Promise<number> {
    if (this.#reserved === undefined) this.#last = this.#reserved = await this.#read();
    const number = Math.max(this.#last + 1, this.#clock.now());
    if (number > this.#reserved) {
      const reserved = number + blockSize;
      await writeFileAtomic(this.#path, `${reserved}\n`);
      this.#reserved = reserved;
    }
    this.#last = number;
    return number;
  }

  /** The number in the file; 0 when there is none. After damage the clock decides, as at the first start. */
  async #read(): Promise<number> {
    try {
      const number = Number(await readFile(this.#path, 'utf8'));
      return Number.isSafeInteger(number) && number > 0 ? number : 0;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
      throw error;
    }
  }
}
