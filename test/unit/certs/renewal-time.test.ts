import test from 'ava';
import { backdateMs } from '../../../certs/authority.ts';
import { renewalDueMs } from '../../../certs/renewal-time.ts';

test('a certificate is due when a third of its validity since it was issued is left', (t) => {
  t.is(renewalDueMs(0, backdateMs + 90_000), backdateMs + 60_000);
  t.is(renewalDueMs(0, 90_000), 60_000, 'one that was not backdated');
});
