/** The documents are right about the repository: links, anchors and paths exist, and no folder is missing from the map. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';

const pages = globSync('**/*.md', {
  exclude: (name) => /(^|\/)(node_modules|\.git|\.flotilla|dist)(\/|$)/.test(name),
}).sort();

/** The anchors of a page, made from its headings as GitHub does. */
function anchorsOf(markdown: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = withoutCode(markdown).matchAll(/^#{1,6} +(.+?) *#*$/gm);
  return new Set(
    Array.from(headings, ([, heading = '']) => {
      const slug = heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(/\s/g, '-');
      const times = seen.get(slug) ?? 0;
      seen.set(slug, times + 1);
      return times === 0 ? slug : `${slug}-${times}`;
    }),
  );
}

function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^```.*?^```/gms, '');
}

/** What is wrong with the links of a page, in words. */
function linkFaults(page: string, markdown: string): string[] {
  const links = withoutCode(markdown)
    .replaceAll(/`[^`\n]*`/g, '')
    .matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g);
  return Array.from(links, ([, link = '']) => link).flatMap((link) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(target)) return [`${page}: ${link} does not exist`];
    if (anchor === undefined) return [];
    return anchorsOf(readFileSync(target, 'utf8')).has(anchor)
      ? []
      : [`${page}: ${link} has no such heading`];
  });
}

/** Paths in code spans that name a file of the repository and do not exist. */
function pathFaults(page: string, markdown: string): string[] {
  const named = withoutCode(markdown).matchAll(
    /`((?:core|certs|enroll|broker|device-sim|cli|embed|bench|tools|test|examples)\/[\w./-]*\.(?:ts|mjs|cjs|yaml))`/g,
  );
  return Array.from(named, ([, path = '']) => path)
    .filter((path) => !existsSync(path))
    .map((path) => `${page}: ${path} does not exist`);
}

test('every relative link of every document leads to a file and a heading that exist', (t) => {
  t.true(pages.includes('README.md') && pages.includes('docs/operations.md'), pages.join());
  t.deepEqual(
    pages.flatMap((page) => linkFaults(page, readFileSync(page, 'utf8'))),
    [],
  );
});

test('every source file that a document names exists', (t) => {
  t.deepEqual(
    pages.flatMap((page) => pathFaults(page, readFileSync(page, 'utf8'))),
    [],
  );
});

test('a wrong link, a wrong anchor and a wrong path are found', (t) => {
  t.deepEqual(
    linkFaults('docs/x.md', '[a](gone.md) [b](../README.md#gone) [c](../README.md#start)'),
    ['docs/x.md: gone.md does not exist', 'docs/x.md: ../README.md#gone has no such heading'],
  );
  t.deepEqual(pathFaults('x.md', 'see `core/gone.ts` and `core/topic.ts`'), [
    'x.md: core/gone.ts does not exist',
  ]);
});

/** The part of ARCHITECTURE.md about a folder: `**broker.**` up to the next of these. */
function partAbout(parent: string, text: string): string {
  if (parent === '.') return text.slice(0, text.indexOf('## The life of a certificate'));
  if (parent === 'broker/session') return text.slice(text.indexOf('| `broker/session/` |'));
  return new RegExp(`^\\*\\*${parent}\\.\\*\\*.*?(?=^\\*\\*|(?![^]))`, 'ms').exec(text)?.[0] ?? '';
}

const foldersOf = (markdown: string): Set<string> =>
  new Set(Array.from(markdown.matchAll(/`([\w./-]+\/)`/g), ([, path = '']) => path));

test('ARCHITECTURE.md names every folder of the source and none that does not exist', (t) => {
  const text = withoutCode(readFileSync('ARCHITECTURE.md', 'utf8'));
  const parents = ['.', 'core', 'enroll', 'broker', 'broker/session', 'device-sim', 'cli'];
  let count = 0;
  for (const parent of parents) {
    const named = foldersOf(partAbout(parent, text));
    const folders = readdirSync(parent, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .filter((name) => !['node_modules', 'dist', 'docs', 'coverage'].includes(name));
    count += folders.length;
    const missing = folders.filter((name) => !named.has(`${name}/`));
    t.deepEqual(missing, [], `folders of ${parent} that the document does not name`);
  }
  t.true(count > 50, `${count} folders`);
  t.deepEqual(
    [...foldersOf(text)].filter((path) => !parents.some((one) => existsSync(join(one, path)))),
    [],
    'folders that do not exist',
  );
});

test('docs/README.md lists every page of docs/', (t) => {
  const index = readFileSync('docs/README.md', 'utf8');
  const listed = readdirSync('docs').filter((name) => name.endsWith('.md') && name !== 'README.md');
  t.true(listed.length > 10);
  t.deepEqual(
    listed.filter((name) => !index.includes(`| [${name}](${name}) |`)),
    [],
  );
});
