import test from 'ava';
import { z } from 'zod';
import { issueText } from '../../../core/issue-text.ts';

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
