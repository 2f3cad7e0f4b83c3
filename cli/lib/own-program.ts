/**
 * The program of the command line, for parts of it that run as processes of their own.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// The first place exists in a checkout, the second in an installed package.
const programPlaces = ['../flotilla.mjs', '../../../cli/flotilla.mjs'];

/** The path of `flotilla.mjs`; undefined when it is not beside these sources. */
export function ownProgram(): string | undefined {
  return programPlaces
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(path));
}
