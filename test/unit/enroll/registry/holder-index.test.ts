import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { parseDeviceId, type DeviceId } from '../../../../core/device-id.ts';
import { DeviceIndex } from '../../../../enroll/registry/device-index.ts';
import { newIdentity } from '../../../../enroll/registry/device-rows.ts';
import { HolderIndex } from '../../../../enroll/registry/holder-index.ts';
import type { DeviceRecord } from '../../../../enroll/registry/records.ts';
import type { Stored } from '../../../../enroll/registry/registry.ts';

test('the index finds what a map of texts finds, whatever is added and removed', (t) => {
  const texts = Array.from({ length: 40 }, (_none, at) => `sha256:${at % 7}`.padEnd(10 + at, 'x'));
  const holders = ['a', 'b', 'c'].map(parseDeviceId);
  const step = fc.tuple(fc.boolean(), fc.nat(texts.length - 1), fc.nat(holders.length - 1));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const rows = new Map<DeviceId, string[]>();
      const index = new HolderIndex((id, text) => rows.get(id)?.includes(text) === true);
      for (const [adds, at, by] of steps) {
        const [text, holder] = [texts[at]!, holders[by]!];
        const own = rows.get(holder) ?? [];
        const others = [...rows].some(([id, list]) => id !== holder && list.includes(text));
        if (adds && !others) {
          rows.set(holder, [...own, text]);
          index.add(text, holder);
        } else if (!adds && own.includes(text)) {
          rows.set(holder, own.toSpliced(own.indexOf(text), 1));
          index.remove(text, holder);
        }
      }
      for (const text of texts) {
        const holder = [...rows].find(([, list]) => list.includes(text))?.[0];
        if (index.find(text) !== holder) return false;
      }
      return true;
    }),
  );
  t.pass();
});

test('the table grows, and texts with the same hash are distinguished by the rows', (t) => {
  const count = 20_000;
  const end = 'e'.repeat(24);
  const rows = new Map<string, string>();
  const index = new HolderIndex((id, text) => rows.get(id) === text);
  for (let at = 0; at < count; at++) {
    const id = parseDeviceId(`d${at}`);
    // Only the end is hashed: the first hundred have the same hash.
    const text = at < 100 ? `${at}${end}` : `text-${at}`;
    rows.set(id, text);
    index.add(text, id);
  }
  const wrong = [...rows].filter(([id, text]) => index.find(text) !== id);
  t.deepEqual(wrong, []);
  t.is(index.find('none'), undefined);
});

test('the rows of devices are in the order of ids after any additions, changes and deletions', (t) => {
  const change = fc.record({
    number: fc.nat(400),
    kind: fc.constantFrom('put', 'put', 'put', 'delete', 'read'),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 600 }), (changes) => {
      const rows = new Map<DeviceId, Stored<DeviceRecord>>();
      const index = new DeviceIndex((id) => rows.get(id));
      const read = (): Stored<DeviceRecord>[] => {
        const found: Stored<DeviceRecord>[] = [];
        for (let place = 0; ; place++) {
          const row = index.at(place);
          if (row === undefined) return found;
          found.push(row);
        }
      };
      const model = (): Stored<DeviceRecord>[] =>
        [...rows.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
      for (const [version, { number, kind }] of changes.entries()) {
        const id = parseDeviceId(`d-${number}`);
        const before = rows.get(id);
        if (kind === 'read') {
          if (!isDeepStrictEqual(read(), model())) return false;
          continue;
        }
        const after =
          kind === 'delete'
            ? undefined
            : { ...newIdentity({ id, role: 'device', createdAtMs: 0 }), version };
        if (after === undefined) rows.delete(id);
        else rows.set(id, after);
        index.replace(before, after);
      }
      return isDeepStrictEqual(read(), model());
    }),
    { numRuns: 60 },
  );
  t.pass();
});
