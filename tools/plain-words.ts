/**
 * Refuses words that made this code base hard to read for newcomers: private metaphors and
 * constructions that a reader has to translate into the standard terms of the field. Comments,
 * strings, identifiers and documents are searched.
 *
 * `tools/plain-words.allow.json` contains, for each file, how many hits are still accepted. The list may
 * only shrink: more hits than allowed fail, and so do fewer, until the list is updated. Documents,
 * examples and the folders whose texts users read cannot be on the list.
 *
 * - `node tools/plain-words.ts` checks.
 * - `node tools/plain-words.ts --list [PATH …]` prints each hit with its line (default: all files).
 * - `node tools/plain-words.ts --update` lowers the numbers in the list to the real counts.
 *
 * @module
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';

const allowListPath = 'tools/plain-words.allow.json';
const filesMin = 100;

const patterns = '**/*.{ts,js,mjs,cjs,md,yaml,yml,py}';
const skippedFolders = new Set([
  'node_modules',
  'dist',
  'coverage',
  '.git',
  '.flotilla',
  'results',
]);
/** These name the refused words in order to refuse them. */
const exemptFiles = new Set(['tools/plain-words.ts', 'test/unit/tools/plain-words.test.ts']);

/** Never on the list. */
const alwaysClean = /\.md$|^(?:examples|cli|core|certs)\//;

interface Refusal {
  readonly word: RegExp;
  readonly instead: string;
}

const words = (source: string, instead: string): Refusal => ({
  // A space in the source also matches the end of a comment line and the start of the next one.
  word: new RegExp(String.raw`\b(?:${source.replaceAll(' ', String.raw`(?:\s|\*|//)+`)})\b`, 'gi'),
  instead,
});

const refusals: readonly Refusal[] = [
  words('told|tells?|telling', 'reported, notified, sent, distinguished, by default'),
  words('wish|wishes|wished|wishing', 'request, option'),
  words('crews?', 'workers, worker pool'),
  words('hires?|hired|hiring', 'start (a worker)'),
  words('anew', 'again'),
  words('doors?', 'listener, port'),
  words('owed|owes|owing', 'pending, queued'),
  words('for ever', 'forever, without a limit'),
  words('strangers?', 'unknown client, unidentified client'),
  words('way back', 'response, report'),
  words('desks?', 'responder, handler'),
  words('books?', 'registry, writer, account'),
  words('houses?', 'project, code base'),
  words(String.raw`(?:gives?|gave|given|giving)(?: [^\s.;:]+){0,3} back`, 'returns, releases'),
  words(String.raw`stands?(?!-| (?:for|alone|by)\b)`, 'is, is stored, is written'),
];

interface Hit {
  readonly line: number;
  readonly text: string;
  readonly instead: string;
}

/** The refused words in a text, in order. The words of `camelCase` and `snake_case` names count. */
function hitsIn(text: string): Hit[] {
  const spaced = text.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, ' ').replaceAll('_', ' ');
  const hits: (Hit & { at: number })[] = [];
  for (const { word, instead } of refusals) {
    for (const match of spaced.matchAll(word)) {
      const line = spaced.slice(0, match.index).split('\n').length;
      const found = match[0].replaceAll(/[\s*/]+/g, ' ');
      hits.push({ at: match.index, line, text: found, instead });
    }
  }
  return hits.sort((a, b) => a.at - b.at);
}

function filesToCheck(): string[] {
  return globSync(patterns, { exclude: (name) => skippedFolders.has(name.split('/').at(-1) ?? '') })
    .filter((path) => !exemptFiles.has(path))
    .sort();
}

type AllowList = Readonly<Record<string, number>>;

function readAllowList(): AllowList {
  const list: unknown = JSON.parse(readFileSync(allowListPath, 'utf8'));
  if (typeof list !== 'object' || list === null) throw new Error(`${allowListPath}: not an object`);
  for (const [path, count] of Object.entries(list)) {
    if (!Number.isInteger(count) || Number(count) < 1) {
      throw new Error(`${allowListPath}: the number of ${path} is not a positive integer`);
    }
  }
  return list as AllowList;
}

/** The faults, one line for each; empty when all is well. */
function faultsOf(found: ReadonlyMap<string, readonly Hit[]>, allowed: AllowList): string[] {
  const faults: string[] = [];
  for (const path of new Set([...Object.keys(allowed), ...found.keys()])) {
    const hits = found.get(path) ?? [];
    const max = allowed[path] ?? 0;
    if (max > 0 && alwaysClean.test(path)) faults.push(`${path}: cannot be on ${allowListPath}`);
    if (hits.length > max) {
      faults.push(...hits.map((hit) => described(path, hit)));
      faults.push(`${path}: ${hits.length} refused words, ${max} allowed`);
    } else if (hits.length < max) {
      faults.push(
        `${path}: ${hits.length} refused words, fewer than the ${max} allowed. ` +
          'Lower the number: node tools/plain-words.ts --update',
      );
    }
  }
  return faults;
}

const described = (path: string, { line, text, instead }: Hit): string =>
  `${path}:${line}: "${text}" (better: ${instead})`;

/** The list with no number above the real count and without files that have no hits. */
function lowered(found: ReadonlyMap<string, readonly Hit[]>, allowed: AllowList): AllowList {
  return Object.fromEntries(
    Object.entries(allowed)
      .map(([path, max]): [string, number] => [path, Math.min(max, found.get(path)?.length ?? 0)])
      .filter(([, max]) => max > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const [mode, ...paths] = process.argv.slice(2);
const files = filesToCheck();
const found = new Map<string, readonly Hit[]>();
for (const path of files) {
  const hits = hitsIn(readFileSync(path, 'utf8'));
  if (hits.length > 0) found.set(path, hits);
}
const total = [...found.values()].reduce((sum, hits) => sum + hits.length, 0);
if (mode === '--list') {
  for (const [path, hits] of found) {
    if (paths.length > 0 && !paths.some((prefix) => path.startsWith(prefix))) continue;
    for (const hit of hits) process.stdout.write(`${described(path, hit)}\n`);
  }
} else if (mode === '--update') {
  writeFileSync(allowListPath, `${JSON.stringify(lowered(found, readAllowList()), null, 2)}\n`);
}
const faults = mode === '--list' ? [] : faultsOf(found, readAllowList());
for (const fault of faults) process.stderr.write(`${fault}\n`);
process.stdout.write(
  `plain words: ${files.length} files, ${total} refused words in ${found.size} of them, ${faults.length} faults\n`,
);
if (files.length < filesMin) {
  process.stderr.write(`plain words: looked at fewer than ${filesMin} files: nothing is proven\n`);
  process.exit(1);
}
process.exit(faults.length > 0 ? 1 : 0);
