import test from 'ava';
import { createdFeature, restoreFeature } from '../../../../core/protocol/broker-query.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { feedLineSchema } from '../../../../core/protocol/feed.ts';
import { certificateOf, deviceRow } from '../../../contract/registry.ts';
import { entryOf, lineFor } from '../../../../enroll/feed/directory-entry.ts';

test('the time when an identity was created is sent only to brokers that know it', (t) => {
  const entry = entryOf({
    id: parseDeviceId('d'),
    role: 'device',
    status: 'active',
    group: null,
    attributes: { createdAtMs: '1' },
    profile: 'default',
    createdAtMs: 5,
    certificates: [],
  });
  const line = `${JSON.stringify({ type: 'change', sequence: 1, entry })}\n`;
  t.is(lineFor(['query', createdFeature], line), line);
  const older = lineFor(['query'], line);
  t.true(older.endsWith('}\n'));
  const read = feedLineSchema.parse(JSON.parse(older));
  t.like(read, { type: 'change', entry: { attributes: { createdAtMs: '1' } } });
  t.false('entry' in read && 'createdAtMs' in read.entry);
  t.is(lineFor([], '{"type":"heartbeat"}\n'), '{"type":"heartbeat"}\n');
});

test('the profile, and the issuer of a server, are sent only to brokers that know them', (t) => {
  const fingerprint = `sha256:${'0a'.repeat(32)}`;
  const certificate = { ...certificateOf('40'), serial: '40', fingerprint, issuer: fingerprint };
  const attributes = { profile: 'a', issuer: 'b', certificates: 'c', notAfterMs: 'd' };
  const record = {
    ...deviceRow('d', { attributes, profile: 'machine' }),
    certificates: [{ ...certificate, names: ['d.example'] }],
  };
  const entry = entryOf(record);
  t.is(entry?.profile, 'machine');
  t.is(entry?.certificates[0]?.issuer, certificate.issuer);
  const line = `${JSON.stringify({ type: 'entry', entry })}\n`;
  t.is(lineFor([createdFeature, restoreFeature], line), line);
  const older = feedLineSchema.parse(JSON.parse(lineFor([createdFeature], line)));
  const usual = { ...record, profile: 'default', certificates: [certificate] };
  t.deepEqual(older, { type: 'entry', entry: entryOf(usual) });
});

test('brokers get the active certificates and the newest of the others', (t) => {
  const row = (...statuses: ('active' | 'retired' | 'revoked')[]): string[] =>
    entryOf(
      deviceRow('d', {
        certificates: statuses.map((status, at) => certificateOf(`c${at}`, { status })),
      }),
    )?.certificates.map(({ status }) => status) ?? [];
  t.deepEqual(row('retired', 'retired', 'active', 'active'), ['retired', 'active', 'active']);
  t.deepEqual(row('active'), ['active']);
  t.deepEqual(row('revoked', 'revoked', 'revoked'), ['revoked', 'revoked']);
});

test('an entry has the role that an operator gave, and else the kind', (t) => {
  t.is(entryOf(deviceRow('d', { policyRole: 'gateway' }))?.role, 'gateway');
  t.is(entryOf(deviceRow('d'))?.role, 'device');
});
