/**
 * The version of this package, and when it was released.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

const content = readPackage();

/** Read once. `unknown` when the package file is missing. */
export const packageVersion: string = textOf('version') ?? 'unknown';

/**
 * When this version was released, in ms since 1970: the clock of a machine that runs it cannot be earlier. 0 when the
 * package file is missing.
 */
export const releasedAtMs: number = Date.parse(textOf('releaseDate') ?? '1970-01-01');

function textOf(name: string): string | undefined {
  const value = content.get(name);
  return typeof value === 'string' ? value : undefined;
}

function readPackage(): ReadonlyMap<string, unknown> {
  // One level up in the sources, two in the built package.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) {
        return new Map(Object.entries(parsed));
      }
    } catch {
      // The next place.
    }
  }
  return new Map();
}
