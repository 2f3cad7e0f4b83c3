/**
 * The records that are gathered in one turn of the event loop, in one growing buffer that is used again.
 *
 * @module
 */

/** The bytes of one message. They are valid only during the call that passes them. */
export interface BatchRecord {
  readonly bytes: number;
  /** Copies them into `target` from `start`. */
  copyTo(target: Buffer, start: number): void;
}

const firstBytes = 4096;
/** A larger buffer is not kept for the next turn. */
const keptMaxBytes = 1024 * 1024;

export class RecordBuffer {
  #bytes = Buffer.allocUnsafeSlow(firstBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(record: BatchRecord): void {
    const needed = this.#length + record.bytes;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    record.copyTo(this.#bytes, this.#length);
    this.#length = needed;
  }

  /** Copies all records into `target` from `at`, and begins again. */
  moveTo(target: Buffer, at: number): void {
    this.#bytes.copy(target, at, 0, this.#length);
    this.clear();
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > keptMaxBytes) this.#bytes = Buffer.allocUnsafeSlow(firstBytes);
  }
}
