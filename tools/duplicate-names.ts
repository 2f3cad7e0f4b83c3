/**
 * Counts the names that mean two things: file names that exist in more than one folder, and names
 * that more than one file exports. A reader who searches for such a name finds the wrong place half
 * of the time, so both counts have a limit that may only shrink.
 *
 * Tests are not counted: a test file has the name of the file that it tests.
 *
 * @module
 */
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import ts from 'typescript';

const folders = [
  'core',
  'certs',
  'enroll',
  'broker',
  'device-sim',
  'cli',
  'bench',
  'tools',
  'console',
];
const filesMin = 100;
const fileNamesMax = 6;
const exportedNamesMax = 5;

/** The names that a module exports itself. Re-exports name the same thing and do not count. */
function exportedNames(path: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  return source.statements.flatMap((statement) => {
    if (!ts.canHaveModifiers(statement)) return [];
    const modifiers = ts.getModifiers(statement) ?? [];
    if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.flatMap(({ name }) =>
        ts.isIdentifier(name) ? [name.text] : [],
      );
    }
    const isNamed =
      ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement);
    return isNamed && statement.name !== undefined ? [statement.name.text] : [];
  });
}

/** The names with more than one place. */
function duplicatesOf(named: readonly (readonly [name: string, path: string])[]): string[] {
  const places = new Map<string, Set<string>>();
  for (const [name, path] of named) {
    places.set(name, (places.get(name) ?? new Set()).add(path));
  }
  return [...places]
    .filter(([, paths]) => paths.size > 1)
    .map(([name, paths]) => `${name}: ${[...paths].join(', ')}`)
    .sort();
}

const files = globSync(`{${folders.join(',')}}/**/*.{ts,tsx}`)
  .filter((path) => !path.endsWith('.d.ts'))
  .sort();
const fileNames = duplicatesOf(files.map((path) => [basename(path), path] as const));
const exported = duplicatesOf(
  files.flatMap((path) => exportedNames(path).map((name) => [name, path] as const)),
);
process.stdout.write(
  `duplicate names: ${files.length} files, ${fileNames.length} file names (at most ${fileNamesMax}), ` +
    `${exported.length} exported names (at most ${exportedNamesMax})\n`,
);
const isTooMany = fileNames.length > fileNamesMax || exported.length > exportedNamesMax;
if (isTooMany || process.argv.includes('--list')) {
  for (const line of fileNames) process.stderr.write(`file name ${line}\n`);
  for (const line of exported) process.stderr.write(`exported name ${line}\n`);
}
if (files.length < filesMin) {
  process.stderr.write(`duplicate names: fewer than ${filesMin} files: nothing is proven\n`);
}
process.exit(isTooMany || files.length < filesMin ? 1 : 0);
