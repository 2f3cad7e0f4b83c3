/**
 * The version of this package.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

/** Read once. `unknown` when the package file is missing. */
export const packageVersion: string = readVersion();

function readVersion(): string {
  // One level up in the sources, two in the built package.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const content: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof content === 'object' && content !== null && 'version' in content) {
        return String(content.version);
      }
    } catch {
      // The next place.
    }
  }
  return 'unknown';
}
