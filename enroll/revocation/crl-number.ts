/**
 * The numbers of the CRLs. They grow over restarts, and also when the clock is set back (RFC 5280, 5.2.3), so
 * the highest one that may have been used is stored. A write for each list would be slow: numbers are
 * reserved in blocks, and a restart continues behind the last block.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { StoredText } from '../../core/stored-text.ts';

/** How many numbers are reserved at once. Numbers are ms since 1970 where possible, so this is one hour. */
const blockSize = 3_600_000;

export class CrlNumber {
  readonly #stored: StoredText;
  readonly #clock: Clock;
  #last = 0;
  /** The highest number that is reserved; undefined until it was read. */
  #reserved: number | undefined;

  /** @param stored the highest number that is reserved */
  constructor(stored: StoredText, clock: Clock) {
    this.#stored = stored;
    this.#clock = clock;
  }

  /** A number above all earlier ones. Not to be called again before it is done. @throws FlotillaError `file-write-failed` */
  async next(): Promise<number> {
    if (this.#reserved === undefined) this.#last = this.#reserved = await this.#read();
    const number = Math.max(this.#last + 1, this.#clock.now());
    if (number > this.#reserved) {
      const reserved = number + blockSize;
      await this.#stored.write(`${reserved}\n`);
      this.#reserved = reserved;
    }
    this.#last = number;
    return number;
  }

  /** The stored number; 0 when there is none. After damage the clock decides, as at the first start. */
  async #read(): Promise<number> {
    const number = Number(await this.#stored.read());
    return Number.isSafeInteger(number) && number > 0 ? number : 0;
  }
}
