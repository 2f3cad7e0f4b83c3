/**
 * The command that starts this program on this machine. A name that npm would look up in its registry
 * is never printed: it may belong to somebody else.
 *
 * @module
 */
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const sourceFile = fileURLToPath(import.meta.url);
const isCheckout = sourceFile.endsWith('.ts');
const root = fileURLToPath(new URL(isCheckout ? '../../' : '../../../', import.meta.url));
const launcher = join(root, 'cli', 'flotilla.mjs');

/**
 * The words to type before the name of a command: `npx flotilla` inside a checkout, where npx finds
 * the checkout itself; `flotilla` when the PATH leads to this installation; else a path.
 */
export function localCommand(
  env: Readonly<Record<string, string | undefined>>,
  folder: string = process.cwd(),
): string {
  const within = relative(root, folder);
  if (isCheckout && within !== '..' && !within.startsWith(`..${sep}`)) return 'npx flotilla';
  const searched = (env['PATH'] ?? '')
    .split(delimiter)
    // npx and npm scripts add these for their own process only.
    .filter((path) => path !== '' && !path.includes('node_modules'));
  if (searched.some((path) => isThisProgram(join(path, 'flotilla')))) return 'flotilla';
  const linked = join('node_modules', '.bin', 'flotilla');
  if (isThisProgram(join(folder, linked))) return linked;
  return `node ${shellWord(launcher)}`;
}

/** Quotes a word for a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function isThisProgram(path: string): boolean {
  try {
    return existsSync(path) && realpathSync(path) === realpathSync(launcher);
  } catch {
    return false;
  }
}
