import test from 'ava';
import { readFileSync } from 'node:fs';

test('every test that docs/security.md names exists', (t) => {
  const text = readFileSync('docs/security.md', 'utf8');
  let named = 0;
  for (const line of text.split('\n').filter((one) => one.startsWith('| '))) {
    const proof = line.split(' | ').at(-1) ?? '';
    for (const [, file = '', titles = ''] of proof.matchAll(
      /`(test\/[^`]+)`: ((?:"[^"]+"(?:, )?)+)/g,
    )) {
      const source = readFileSync(file, 'utf8');
      for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g)) {
        t.true(source.includes(title), `${title} in ${file}`);
        named++;
      }
    }
  }
  t.true(named > 40, `${named} were looked at`);
});

test('every threat has a control and a test', (t) => {
  const rows = readFileSync('docs/security.md', 'utf8')
    .split('\n')
    .filter(
      (line) =>
        line.startsWith('| ') && !line.startsWith('| threat') && !line.startsWith('| machine'),
    );
  const threats = rows.filter((line) => line.split(' | ').length === 3);
  t.true(threats.length > 30);
  for (const line of threats) t.regex(line, /`test\//);
});
