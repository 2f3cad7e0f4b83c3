/**
 * Cuts a byte stream into lines of bounded length.
 *
 * @module
 */

/** Gives whole lines as chunks come in. */
export class LineSplitter {
  readonly #maxBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws RangeError when a line is longer than allowed */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end);
      this.#check(piece.length);
      lines.push(
        this.#rest.length === 0
          ? piece.toString('utf8')
          : Buffer.concat([...this.#rest, piece]).toString('utf8'),
      );
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
    }
    if (from < chunk.length) {
      const piece = chunk.subarray(from);
      this.#check(piece.length);
      this.#rest.push(piece);
      this.#restBytes += piece.length;
    }
    return lines;
  }

  #check(bytes: number): void {
    if (this.#restBytes + bytes > this.#maxBytes) {
      throw new RangeError(`a line of more than ${this.#maxBytes} bytes`);
    }
  }
}
