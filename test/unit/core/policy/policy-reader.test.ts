import test from 'ava';
import { defaultPolicyText } from '../../../../core/policy/default-policy.ts';
import { PolicyReader } from '../../../../core/policy/policy-reader.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';

const roles = Array.from({ length: 2000 }, (_, n) => `  r${n}: {}`).join('\n');
const long = `${defaultPolicyText}\n${roles}\n`;

/** Counts the turns of the event loop until something is done. */
async function turnsUntil(work: Promise<unknown>): Promise<number> {
  const state = { isDone: false };
  const done = (): void => void (state.isDone = true);
  void work.then(done, done);
  let turns = -1;
  for (; !state.isDone; turns++) await new Promise((resolve) => setImmediate(resolve));
  return turns;
}

test('while a long policy is read, the event loop goes on', async (t) => {
  const reader = new PolicyReader();
  const reading = reader.check(long, 'a');
  t.true((await turnsUntil(reading)) > 0);
  t.is((await reading).length, 2004);
  const policy = await reader.read(`${long}# read\n`, 'a');
  t.is(policy.roles.get('device')?.rules.length, 3);
  const subject = {
    ...{ id: 'd1', role: 'device', group: null, attributes: {} },
    ...{ standing: 'full' as const, remoteAddress: undefined },
  };
  const question = { action: 'publish' as const, topic: 'devices/d2/x' };
  t.false((await reader.explain(long, subject, question, 'a')).allowed);
  const tests = 'tests:\n  - device: d1\n    allow:\n      - publish: devices/d1/x\n';
  t.like(await reader.test(long, tests, 10, 'a'), { passed: 1, failures: [] });
});

test('a fault has its code and place, and a caller has a share of the places', async (t) => {
  const reader = new PolicyReader();
  const wrong = await t.throwsAsync(reader.check(`${long}  r7: {}\n`, 'a'), {
    instanceOf: FlotillaError,
  });
  t.is(wrong.code, 'policy-invalid');
  t.regex(wrong.detail ?? '', /^line \d+, column 3: Map keys must be unique$/);
  const own = Array.from({ length: 5 }, () => reader.check(long, 'a'));
  const other = reader.check(long, 'b');
  const results = await Promise.allSettled(own);
  t.deepEqual(
    results.map((one) => (one.status === 'rejected' ? (one.reason as FlotillaError).code : '')),
    ['', '', '', '', 'too-many-requests'],
  );
  t.is((await other).length, 2004);
});
