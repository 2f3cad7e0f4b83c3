import test from 'ava';
import { parseDeviceId } from '../../../../core/device-id.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../../../core/protocol/feed.ts';
import type { AuditLine } from '../../../../enroll/audit/audit-event.ts';
import { lostDecisions, repeatedStep } from '../../../../enroll/reconcile/audit-losses.ts';
import { restoreSteps } from '../../../../enroll/reconcile/restore-plan.ts';
import type { DeviceRecord } from '../../../../enroll/registry/records.ts';
import { certificateOf, deviceRow } from '../../../contract/registry.ts';

const id = parseDeviceId('d');
const facts = {
  sinceMs: 10_000_000,
  nowMs: 10_000_001,
  isRevoked: (serial: string) => serial === '77',
};
const live = { notBeforeMs: 1, notAfterMs: 20_000_000 };
const known = (
  serial: string,
  status: DirectoryCertificate['status'] = 'active',
): DirectoryCertificate => ({
  ...{ serial, fingerprint: `sha256:${serial.padStart(64, '0')}`, status },
  ...live,
});
const entry = (more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
  ...{ id, role: 'device', status: 'active', group: null, attributes: {} },
  certificates: [known('0a')],
  ...more,
});
const row = (more: Partial<DeviceRecord> = {}): DeviceRecord =>
  deviceRow('d', { certificates: [certificateOf('d', { ...live, serial: '0a' })], ...more });
const actions = (earlier: DirectoryEntry | null, found: DeviceRecord | undefined): string[] =>
  restoreSteps(id, earlier, found, facts).map(({ action, certificates }) =>
    [action, ...certificates.map(({ serial }) => serial)].join(' '),
  );

test('a stricter status is applied again, unless the restored service has enrolled the device again', (t) => {
  t.deepEqual(actions(entry({ status: 'revoked' }), row()), ['revoke']);
  t.deepEqual(actions(entry({ status: 'suspended' }), row()), ['suspend']);
  t.deepEqual(actions(entry({ status: 'quarantined' }), row({ status: 'suspended' })), []);
  const again = row({
    certificates: [certificateOf('d', { ...live, notBeforeMs: facts.sinceMs })],
  });
  t.deepEqual(actions(entry({ status: 'revoked', certificates: [] }), again), []);
  t.deepEqual(actions(null, row()), ['delete']);
  t.deepEqual(actions(null, again), []);
  t.deepEqual(actions(null, row({ createdAtMs: facts.sinceMs })), []);
});

test('certificates are revoked again, or adopted, and never both', (t) => {
  const renewed = entry({ certificates: [known('0a', 'retired'), known('0b')] });
  t.deepEqual(actions(renewed, row()), ['adopt 0b']);
  t.deepEqual(actions(renewed, undefined), ['adopt 0b']);
  t.deepEqual(actions(entry({ certificates: [known('0a', 'revoked'), known('0b')] }), row()), [
    'revoke-certificates 0a',
    'adopt 0b',
  ]);
  t.deepEqual(actions(entry({ status: 'revoked' }), undefined), ['revoke-certificates 0a']);
  t.deepEqual(actions(entry({ certificates: [known('77')] }), row()), [], 'revoked meanwhile');
});

test('identities of the system are never changed by it', (t) => {
  t.deepEqual(actions(entry({ role: 'admin', status: 'revoked' }), row({ role: 'admin' })), [
    'manual',
    'manual 0a',
  ]);
  t.deepEqual(actions(entry({ role: 'admin', certificates: [known('0b')] }), undefined), [
    'manual 0b',
  ]);
  t.deepEqual(actions(entry({ role: 'gateway', certificates: [known('0b')] }), undefined), [
    'adopt 0b',
  ]);
});

test('the last decision of the audit log that the registry has lost is repeated', (t) => {
  const line = (commit: number, action: AuditLine['action'], device: string): AuditLine => ({
    ...{ seq: commit, at: '', prev: '', hash: '', actor: 'admin' },
    ...{ commit, action, device },
  });
  const found = lostDecisions(
    [
      line(5, 'device-revoked', 'before'),
      line(6, 'device-suspended', 'a'),
      line(7, 'device-suspended', 'b'),
      line(8, 'device-resumed', 'b'),
      line(9, 'device-revoked', 'c'),
      line(9, 'token-created', 'd'),
      line(10, 'device-deleted', 'later'),
    ],
    { from: 5, to: 9 },
  );
  t.deepEqual([...found], [
    ['a', 'suspend'],
    ['c', 'revoke'],
  ] as never);
  t.is(repeatedStep(id, 'revoke', row())?.action, 'revoke');
  t.is(repeatedStep(id, 'revoke', row({ status: 'revoked' })), undefined);
  t.is(repeatedStep(id, 'suspend', row({ status: 'suspended' })), undefined);
  t.is(repeatedStep(id, 'revoke', row({ role: 'admin' }))?.action, 'manual');
  t.is(repeatedStep(id, 'revoke', undefined), undefined);
});
