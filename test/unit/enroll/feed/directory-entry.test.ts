import test from 'ava';
import { createdFeature } from '../../../../core/protocol/broker-query.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { feedLineSchema } from '../../../../core/protocol/feed.ts';
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
