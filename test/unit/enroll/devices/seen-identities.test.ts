/** The identities whose presence the enrollment service keeps in memory. */
import test from 'ava';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { SeenIdentities } from '../../../../enroll/devices/seen-identities.ts';

const broker = parseDeviceId('broker-1');

test('a full map forgets identities that are not connected, and never one that is', (t) => {
  const seen = new SeenIdentities(1000);
  const ids = Array.from({ length: 3000 }, (_, at) => parseDeviceId(`device-${at}`));
  // Every other one of the first thousand stays connected, and all that follow disconnect.
  for (const [at, id] of ids.entries()) {
    const { brokers } = seen.entry(id);
    brokers.add(broker);
    if (at >= 1000 || at % 2 === 1) brokers.delete(broker);
    t.true(seen.size <= 1000);
  }
  const connected = ids.filter((id) => seen.get(id)?.brokers.has(broker));
  t.deepEqual(
    connected,
    ids.slice(0, 1000).filter((_, at) => at % 2 === 0),
  );
});

test('connected identities exceed the limit of a full map, and make room again when they disconnect', (t) => {
  const seen = new SeenIdentities(100);
  const ids = Array.from({ length: 1000 }, (_, at) => parseDeviceId(`device-${at}`));
  for (const id of ids) seen.entry(id).brokers.add(broker);
  t.is(seen.size, 1000);
  for (const { brokers } of seen.values()) brokers.clear();
  for (let at = 0; at < 100; at++) seen.entry(parseDeviceId(`later-${at}`)).brokers.add(broker);
  t.true(seen.size <= 100, String(seen.size));
  t.is(seen.get(parseDeviceId('later-99'))?.brokers.size, 1);
});
