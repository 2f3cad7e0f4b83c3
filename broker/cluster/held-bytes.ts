/**
 * Bytes that arrived while their receiver did not read. Small pieces share a block, so that they cost about as much
 * memory as they have bytes.
 *
 * @module
 */

const blockMinBytes = 4 * 1024;

interface HeldBlock {
  readonly bytes: Buffer;
  end: number;
}

export class HeldBytes {
  readonly #blocks: HeldBlock[] = [];

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Adds a copy. */
  push(bytes: Buffer): void {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.bytes.length - last.end >= bytes.length) {
      last.end += bytes.copy(last.bytes, last.end);
      return;
    }
    const block = Buffer.allocUnsafeSlow(Math.max(blockMinBytes, bytes.length));
    this.#blocks.push({ bytes: block, end: bytes.copy(block) });
  }

  /** Removes the first bytes, as many as are in one block. */
  shift(): Buffer | undefined {
    const first = this.#blocks.shift();
    return first?.bytes.subarray(0, first.end);
  }

  clear(): void {
    this.#blocks.length = 0;
  }
}
