/**
 * The openssl command line as an oracle for certificates.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { runChild, type ChildOptions, type Finished } from './child.ts';
import { debianTool } from './debian-tool.ts';
import { tempFolder } from './temp-folder.ts';

/** One test's folder and its openssl. */
export interface Openssl {
  /** Runs it to its end; a failure is an answer. */
  run(...args: readonly string[]): Promise<Finished>;
  runWith(options: ChildOptions, ...args: readonly string[]): Promise<Finished>;
  /** Writes a file into the test's folder and gives its path. */
  file(name: string, content: string | Uint8Array): string;
  path(name: string): string;
}

/** An openssl for this test; undefined, after saying so, when the machine has none. */
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
