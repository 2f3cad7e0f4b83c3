import test from 'ava';
import { IdempotentCalls, type KeptResponse } from '../../../../enroll/http/idempotency.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

const call = { method: 'POST', path: '/v1/x', body: {} };
const answer =
  (body: string): (() => Promise<KeptResponse>) =>
  () =>
    Promise.resolve({ status: 200, body });

test('a caller with very many keys, or large responses, displaces its own responses only', async (t) => {
  const calls = new IdempotentCalls(fakeClock());
  await calls.once('alice', 'key', call, answer('first'));
  for (let n = 0; n < 3000; n++) await calls.once('mallory', `k${n}`, call, answer('x'));
  for (let n = 0; n < 40; n++) {
    await calls.once('mallory', `large${n}`, call, answer('x'.repeat(1024 * 1024)));
  }
  t.is((await calls.once('alice', 'key', call, answer('second'))).body, 'first');
  t.is((await calls.once('mallory', 'k0', call, answer('again'))).body, 'again');
});
