import test from 'ava';
import fc from 'fast-check';
import { parseDeviceId, type DeviceId } from '../../../../core/device-id.ts';
import { HolderIndex } from '../../../../enroll/registry/holder-index.ts';

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
