import test from 'ava';
import { z } from 'zod';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { issuesText, issueText } from '../../../core/issue-text.ts';
import { parsePolicy } from '../../../core/policy/policy-file.ts';
import { checkPlan } from '../../../device-sim/plan/read-plan.ts';
import { recordSchemas } from '../../../enroll/registry/record-schemas.ts';

const schema = z.strictObject({
  seconds: z.int().min(1).max(10),
  name: z.string().min(2).max(3),
  key: z.string().regex(/^[a-z]+$/, 'not a name for a key'),
  code: z.string().regex(/^[a-z]+$/),
  action: z.enum(['on', 'off']),
  list: z.array(z.string()).max(1),
});

test('each fault of a value is said in words', (t) => {
  const faults = (value: object): string[] =>
    (schema.partial().safeParse(value).error?.issues ?? []).map(issueText);
  t.deepEqual(faults({ seconds: 0 }), ['must be at least 1']);
  t.deepEqual(faults({ seconds: 11 }), ['must be at most 10']);
  t.deepEqual(faults({ seconds: 'x' }), ['must be a number']);
  t.deepEqual(faults({ seconds: 1.5 }), ['must be a whole number']);
  t.deepEqual(faults({ name: 'a' }), ['must have at least 2 characters']);
  t.deepEqual(faults({ name: 'abcd' }), ['must have at most 3 characters']);
  t.deepEqual(faults({ key: '1' }), ['not a name for a key']);
  t.deepEqual(faults({ code: '1' }), ['is not in the required form (/^[a-z]+$/)']);
  t.deepEqual(faults({ action: 'up' }), ['must be one of on, off']);
  t.deepEqual(faults({ list: ['a', 'b'] }), ['must have at most 1 items']);
  t.deepEqual(faults({ other: 1 }), ['unknown: other']);
});

test('a missing value, alternatives and names of a record are said in words', (t) => {
  const deep = z.strictObject({
    share: z.number().gt(0).multipleOf(0.5),
    fronts: z.union([z.literal('auto'), z.int()]),
    step: z.union([z.strictObject({ wait: z.int() }), z.strictObject({ run: z.array(z.int()) })]),
    names: z.record(z.string().max(2), z.string()),
  });
  const faults = (value: object): string =>
    issuesText(deep.partial().safeParse(value).error?.issues ?? []);
  t.is(faults({ share: 0 }), 'share: must be more than 0');
  t.is(faults({ share: 0.7 }), 'share: must be a multiple of 0.5');
  t.is(faults({ fronts: 'many' }), 'fronts: must be auto or a number');
  t.is(faults({ step: { run: ['x'] } }), 'step.run.0: must be a number');
  t.is(faults({ names: { abc: 'x' } }), 'names.abc: its name must have at most 2 characters');
  t.is(
    issuesText(deep.safeParse({}).error?.issues.slice(0, 1) ?? [], 'body'),
    'body.share: is missing',
  );
});

/** Words of zod that a person must never read. */
const zodWords =
  /Invalid (?:input|option|key|string)|expected |received |Too (?:small|big)|Unrecognized/;

test('policies, plans and rows of the registry are refused in our words', (t) => {
  const bad: readonly unknown[] = [null, 7, 'x', [], {}, { a: 1 }, [[1]], -1, true];
  const texts = new Set<string>();
  const take = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      texts.add(error instanceof FlotillaError ? (error.detail ?? '') : String(error));
    }
  };
  for (const value of bad) {
    const json = JSON.stringify(value);
    take(() => parsePolicy(json));
    take(() => parsePolicy(`{"version":1,"roles":${json}}`));
    take(() => parsePolicy(`{"version":1,"roles":{"device":${json}}}`));
    take(() => parsePolicy(`{"version":1,"roles":{"device":{"rules":[${json}]}}}`));
    take(() =>
      parsePolicy(
        `{"version":1,"roles":{"device":{"rules":[{"allow":${json},"topics":${json}}]}}}`,
      ),
    );
    take(() => checkPlan(value));
    take(() => checkPlan({ fleet: [value], phases: [value] }));
    take(() =>
      checkPlan({ fleet: [{ devices: value, publish: [value] }], phases: [{ ramp: value }] }),
    );
    for (const schema of Object.values(recordSchemas)) {
      const { error } = schema.safeParse(value);
      texts.add(issuesText(error?.issues ?? []));
    }
  }
  t.true(texts.size > 20);
  t.deepEqual(
    [...texts].filter((text) => zodWords.test(text)),
    [],
  );
});
