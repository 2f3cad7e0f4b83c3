import test from 'ava';
import {
  descriptionOf,
  keyHints,
  schemasAt,
  valueHints,
  yamlKeyAt,
  yamlPath,
  type HintSchema,
} from '../../../../console/editor/yaml-hints.ts';
import { policyJsonSchema } from '../../../../core/policy/policy-document.ts';

const text = `version: 1
roles:
  device:
    clientIds: exact
    rules:
      - name: own
        allow: [publish]
        topics: ['a']

      # a comment
      - deny: publish
        whe
    limits:
      inf
  other:
    rules:
    - allow: receive
      top
`;
const lines = text.split('\n');
/** The path of a line that contains a text, at the column where its content begins. */
const pathOf = (part: string): (string | 0)[] => {
  const line = lines.findIndex((one) => one.includes(part));
  return yamlPath(lines, line, lines[line]?.search(/[^\s-]/) ?? 0);
};

// The service sends it as JSON.
const schema = policyJsonSchema() as HintSchema;
const labels = (path: (string | 0)[]): string[] =>
  keyHints(schemasAt(schema, path)).map(({ label }) => label);

test('the place of a line follows from indentation and hyphens', (t) => {
  t.deepEqual(pathOf('version'), []);
  t.deepEqual(pathOf('device:'), ['roles']);
  t.deepEqual(pathOf('name: own'), ['roles', 'device', 'rules', 0]);
  t.deepEqual(pathOf('topics:'), ['roles', 'device', 'rules', 0]);
  t.deepEqual(pathOf('whe'), ['roles', 'device', 'rules', 0]);
  t.deepEqual(pathOf('inf'), ['roles', 'device', 'limits']);
  t.deepEqual(pathOf('top\n'.trim()), ['roles', 'device', 'rules', 0]);
  t.deepEqual(yamlPath(lines, lines.length - 2, 6), ['roles', 'other', 'rules', 0]);
  // An empty line, by the column of the cursor.
  t.deepEqual(yamlPath(lines, 8, 8), ['roles', 'device', 'rules', 0]);
  t.deepEqual(yamlPath(lines, 8, 4), ['roles', 'device']);
  t.deepEqual(yamlPath(lines, 8, 0), []);
  t.deepEqual(yamlKeyAt(lines, 5), {
    key: 'name',
    column: 8,
    path: ['roles', 'device', 'rules', 0],
  });
  t.is(yamlKeyAt(lines, 9), undefined);
});

test('keys, values and descriptions come from the schema of the policy', (t) => {
  t.deepEqual(labels([]), ['version', 'onDenied', 'roles']);
  t.true(labels(['roles', 'any']).includes('clientIds'));
  t.true(labels(['roles', 'any', 'rules', 0]).includes('payloadMaxBytes'));
  t.true(labels(['roles', 'any', 'rules', 0, 'when']).includes('group'));
  t.true(labels(['roles', 'any', 'limits']).includes('queueOverflow'));
  t.deepEqual(labels(['nonsense', 0]), []);
  const values = (path: (string | 0)[]): string[] =>
    valueHints(schemasAt(schema, path)).map(({ label }) => label);
  t.deepEqual(values(['roles', 'any', 'rules', 0, 'allow']), ['publish', 'subscribe', 'receive']);
  t.deepEqual(values(['roles', 'any', 'clientIds']), ['exact', 'prefix', 'any']);
  t.deepEqual(values(['roles', 'any', 'limits', 'queueQos0']), ['true', 'false']);
  t.regex(descriptionOf(schema, ['roles', 'x', 'rules', 0, 'topics']) ?? '', /\{device\}/);
  for (const path of [[], ['roles', 'x'], ['roles', 'x', 'rules', 0], ['roles', 'x', 'limits']] as (
    string | 0
  )[][]) {
    for (const key of labels(path)) {
      t.not(descriptionOf(schema, [...path, key]), undefined, `${path.join('.')}.${key}`);
    }
  }
});
