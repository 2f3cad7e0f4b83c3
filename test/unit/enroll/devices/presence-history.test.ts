/** The latest connections and disconnections that the enrollment service keeps in memory. */
import test from 'ava';
import { PresenceHistory } from '../../../../enroll/devices/presence-history.ts';
import { presenceSchema } from '../../../../core/protocol/feed.ts';
import { deviceIdSchema } from '../../../../core/protocol/device-id-schema.ts';

const broker = deviceIdSchema.parse('broker-1');

/** As it arrives in a report: each text is a new one. */
const reported = (id: string, atMs: number, reason?: string) =>
  presenceSchema.parse(
    JSON.parse(
      JSON.stringify({
        ...{ id, atMs, reason, connected: reason === undefined },
        ...{ serial: 'ab'.repeat(16), remoteAddress: '192.0.2.1' },
      }),
    ),
  );

test('the entries of a device come back as they were reported, the newest first', (t) => {
  const history = new PresenceHistory();
  const first = reported('d1', 1000);
  const second = reported('d1', 2000, 'connection-lost');
  for (const presence of [first, reported('d2', 1500), second, reported('d1', 3000)]) {
    history.add(broker, presence);
  }
  t.deepEqual(history.of('d1', 1000, 3000, 10), [
    { ...second, broker },
    { ...first, broker },
  ]);
  t.deepEqual(history.of('d1', 0, 4000, 1), [{ ...reported('d1', 3000), broker }]);
});

test('the oldest entry gives way to the newest one', (t) => {
  const history = new PresenceHistory();
  const count = 50_000;
  // More different texts than are remembered.
  for (let at = 0; at <= count; at++) history.add(broker, reported('d1', at, `reason ${at}`));
  const entries = history.of('d1', 0, Infinity, count * 2);
  t.is(entries.length, count);
  t.is(entries.at(-1)?.reason, 'reason 1');
  t.is(entries[0]?.reason, `reason ${count}`);
});
