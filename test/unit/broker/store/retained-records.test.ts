import test from 'ava';
import fc from 'fast-check';
import { retainedBytes, RetainedRecords } from '../../../../broker/store/retained-records.ts';
import type { StoredMessage } from '../../../../broker/store/session-store.ts';

const time = fc.integer({ min: 0, max: 2 ** 47 });
const message: fc.Arbitrary<StoredMessage> = fc.record({
  topic: fc.constantFrom('a', 'a/b/c', 'ä/ü', '𝄞'),
  payload: fc
    .uint8Array({ minLength: 1, maxLength: 1500, size: 'max' })
    .map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2),
  retain: fc.boolean(),
  properties: fc.option(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    { nil: undefined },
  ),
  expiresAtMs: fc.option(time, { nil: undefined }),
  createdAtMs: time,
  publisher: fc.option(fc.constantFrom('pump', 'pump/1', 'öl'), { nil: undefined }),
});
const owner = fc.option(fc.constantFrom('pump', 'other'), { nil: undefined });

test('a message comes back as it was stored, small or large, whatever else is stored', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(message, owner), { maxLength: 20 }), (messages) => {
      const records = new RetainedRecords();
      const names = messages.map(([one, id]) => records.add(one, id));
      for (const [index, [one, id]] of messages.entries()) {
        const name = names[index] ?? 0;
        t.deepEqual(records.message(name, one.topic), one);
        t.is(records.owner(name), id);
        t.is(records.expiresAtMs(name), one.expiresAtMs);
        const { payload, properties } = one;
        const bytes = retainedBytes(one.topic, payload.length, properties?.length);
        t.is(records.bytes(name, one.topic), bytes);
        if (index % 2 === 0) records.remove(name);
      }
    }),
    { numRuns: 50 },
  );
});

test('a stored message does not change with the buffer that it came in, nor with the one that is returned', (t) => {
  const records = new RetainedRecords();
  const payload = Buffer.from('before');
  const stored: StoredMessage = {
    topic: 't',
    payload,
    qos: 1,
    retain: true,
    properties: undefined,
    expiresAtMs: undefined,
    createdAtMs: 1,
    publisher: 'a',
  };
  const name = records.add(stored, 'a');
  payload.fill('x');
  const first = records.message(name, 't');
  first.payload.fill('y');
  t.is(String(records.message(name, 't').payload), 'before');
  records.remove(name);
  records.add({ ...stored, payload: Buffer.from('other ') }, 'a');
  t.is(String(first.payload), 'yyyyyy');
});
