/**
 * Splits a byte stream into lines of limited length.
 *
 * @module
 */

/** Returns the complete lines as chunks arrive. */
export class LineSplitter {
  readonly #maxBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws RangeError when a line is too long */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end);
      this.#checkLength(piece.length);
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
      this.#checkLength(piece.length);
      this.#rest.push(piece);
      this.#restBytes += piece.length;
    }
    return lines;
  }

  #checkLength(bytes: number): void {
    if (this.#restBytes + bytes > this.#maxBytes) {
      throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
    }
  }
}
