/**
 * A small text that is read at a start and replaced as a whole, wherever it is kept.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from './atomic-file.ts';

export interface StoredText {
  /** Where it is, for errors. */
  readonly place: string;
  /** Undefined: it was never written. */
  read(): Promise<string | undefined>;
  /** The text is durable when the promise resolves. */
  write(text: string): Promise<void>;
}

/** A text in a file of its own. `write` throws FlotillaError `file-write-failed`. */
export function textFile(path: string): StoredText {
  return {
    place: path,
    async read() {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw error;
      }
    },
    write: (text) => writeFileAtomic(path, text),
  };
}
