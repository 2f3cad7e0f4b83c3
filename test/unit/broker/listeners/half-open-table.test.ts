import test from 'ava';
import { HalfOpenTable, type HalfOpen } from '../../../../broker/listeners/half-open-table.ts';

const limits = { max: 100, perSourceMax: 50 };

function add(table: HalfOpenTable<HalfOpen>, source: string, sinceMs = 0): HalfOpen {
  const connection = { source, sinceMs };
  table.add(connection);
  return connection;
}

test('2,000 silent connections of two sources leave room for all others', (t) => {
  const table = new HalfOpenTable<HalfOpen>({ max: 2000, perSourceMax: 1000 });
  for (const source of ['a', 'b']) {
    for (let n = 0; n < 1000; n++) {
      if (table.roomFor(source, true, 0) === undefined) add(table, source);
    }
  }
  t.is(table.size, 2000);
  for (let n = 0; n < 500; n++) {
    const room = table.roomFor(`device ${n}`, false, 0);
    if (room === undefined || room === 'full') return t.fail('one of the silent ones makes room');
    t.true(room.source === 'a' || room.source === 'b');
    table.remove(room);
    add(table, `device ${n}`);
  }
  t.is(table.size, 2000);
});

test('silent connections make room first, then the oldest of the others', (t) => {
  const table = new HalfOpenTable<HalfOpen>({ max: 3, perSourceMax: 3 });
  const [first, second, third] = [add(table, 'a'), add(table, 'a'), add(table, 'a')];
  table.spoke(first);
  t.is(table.roomFor('b', false, 0), second);
  table.spoke(second);
  t.is(table.roomFor('b', false, 0), third);
  table.spoke(third);
  t.is(table.roomFor('b', false, 0), first);
});

test('a source over its share replaces only own connections that are silent for a while', (t) => {
  const table = new HalfOpenTable<HalfOpen>(limits);
  const first = add(table, 'a', 0);
  for (let n = 1; n < 50; n++) add(table, 'a', 5000);
  t.is(table.roomFor('a', true, 999), 'full');
  t.is(table.roomFor('a', true, 1000), first);
  table.spoke(first);
  t.is(table.roomFor('a', true, 5500), 'full');
});

test('in the last quarter, a source without admitted devices may have a sixteenth of what is left', (t) => {
  const table = new HalfOpenTable<HalfOpen>(limits);
  for (const source of ['a', 'b']) for (let n = 0; n < 37; n++) add(table, source);
  add(table, 'c');
  t.is(table.roomFor('a', false, 0), 'full');
  t.is(table.roomFor('a', true, 0), undefined);
  t.is(table.roomFor('d', false, 0), undefined, 'its first one');
});

test('sources with as many connections as others make no room for each other', (t) => {
  const table = new HalfOpenTable<HalfOpen>({ max: 4, perSourceMax: 4 });
  for (const source of ['a', 'b', 'c', 'd']) add(table, source);
  t.is(table.roomFor('e', false, 0), 'full');
  t.is(table.roomFor('a', true, 0), 'full');
});

test('the largest source is found again after removals in any order', (t) => {
  const table = new HalfOpenTable<HalfOpen>({ max: 6, perSourceMax: 6 });
  const a = [add(table, 'a'), add(table, 'a'), add(table, 'a')];
  const b = [add(table, 'b'), add(table, 'b')];
  for (const one of a) table.remove(one);
  table.remove(a[0]!);
  t.is(table.size, 2);
  for (let n = 0; n < 4; n++) add(table, `c${n}`);
  t.is(table.roomFor('new', false, 0), b[0]);
});
