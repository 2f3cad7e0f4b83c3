import test from 'ava';
import { revocationOf } from '../../../../enroll/registry/certificate-status.ts';
import { certificateOf, deviceRow } from '../../../contract/registry.ts';

const certificate = { ...certificateOf('a'), notBeforeMs: 1000, notAfterMs: 9000 };
const holder = deviceRow('a', { status: 'active', certificates: [] });

test('a retired certificate is revoked because it was superseded', (t) => {
  const retired = { ...certificate, status: 'retired', retiredAtMs: 5000 } as const;
  t.deepEqual(revocationOf(holder, retired, 6000), { atMs: 5000, reason: 'superseded' });
});

test('a revocation is never in the future', (t) => {
  t.deepEqual(revocationOf(holder, { ...certificate, status: 'revoked' }, 6000), { atMs: 1000 });
});

test('an active certificate is good, and on hold while its holder is suspended', (t) => {
  const active = { ...certificate, status: 'active' } as const;
  t.is(revocationOf(holder, active, 6000), undefined);
  const suspended = deviceRow('a', { status: 'suspended', heldSinceMs: 4000, certificates: [] });
  t.deepEqual(revocationOf(suspended, active, 6000), { atMs: 4000, reason: 'certificateHold' });
});
