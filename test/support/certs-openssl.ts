/**
 * The openssl command line as a reference for certificates.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { runChild, type ChildOptions, type Finished } from './child.ts';
import { debianTool } from './debian-tool.ts';
import { tempFolder } from './temp-folder.ts';

/** The folder of a test, and openssl. */
export interface Openssl {
  /** Runs it to its end; a failure is a result. */
  run(...args: readonly string[]): Promise<Finished>;
  runWith(options: ChildOptions, ...args: readonly string[]): Promise<Finished>;
  /** Writes a file into the folder of the test and returns its path. */
  file(name: string, content: string | Uint8Array): string;
  path(name: string): string;
}

/** Openssl for this test; undefined, after skipping the test, if the machine has none. */
export function opensslFor(t: ExecutionContext): Openssl | undefined {
  const command = debianTool(t, 'openssl');
  if (command === undefined) return undefined;
  const folder = tempFolder(t);
  const path = (name: string): string => join(folder, name);
  return {
    run: (...args) => runChild(t, command, args),
    runWith: (options, ...args) => runChild(t, command, args, options),
    file(name, content) {
      writeFileSync(path(name), content);
      return path(name);
    },
    path,
  };
}
