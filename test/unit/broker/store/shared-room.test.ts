import test from 'ava';
import { SharedRoom, type OwnerShare } from '../../../../broker/store/shared-room.ts';

const one = { entries: 1, bytes: 10 };
const shareOf = (id: string, max = 1000): OwnerShare => ({ id, max, maxBytes: 1_000_000 });

/** Adds entries of an identity until one is rejected. @returns how many it added */
function fill(room: SharedRoom, share: OwnerShare): number {
  let added = 0;
  for (; room.refusal(share, one) === undefined; added++) room.add(share.id, one);
  return added;
}

test('an identity gets at most its share, and others continue', (t) => {
  const room = new SharedRoom({ max: 100, maxBytes: 100_000 });
  t.is(fill(room, shareOf('greedy', 20)), 20);
  t.is(room.refusal(shareOf('greedy', 20), one), 'share-used');
  t.is(room.refusal(shareOf('other', 20), one), undefined);
  room.remove('greedy', one);
  t.is(fill(room, shareOf('greedy', 20)), 1);
});

test('identities that take all they can get leave room for those that have little', (t) => {
  const room = new SharedRoom({ max: 1000, maxBytes: 100_000 });
  t.is(fill(room, shareOf('g1')), 750);
  const later = ['g2', 'g3', 'g4', 'g5'].map((id) => fill(room, shareOf(id)));
  t.deepEqual(later, [14, 13, 13, 12]);
  for (let index = 0; index < 50; index++) {
    t.is(room.refusal(shareOf(`other-${index}`), one), undefined);
    room.add(`other-${index}`, one);
  }
  t.is(room.refusal(shareOf('g1'), one), 'share-used');
});

test('a full room is full for everybody', (t) => {
  const room = new SharedRoom({ max: 2, maxBytes: 100_000 });
  room.add('a', one);
  room.add('b', one);
  t.is(room.refusal(shareOf('c'), one), 'room-full');
  t.is(room.refusal(undefined, one), 'room-full');
});

test('bytes are limited as entries are, and a smaller entry can always replace a larger one', (t) => {
  const room = new SharedRoom({ max: 1000, maxBytes: 140 });
  for (let index = 0; index < 10; index++) room.add('only', one);
  t.is(room.refusal(shareOf('only'), { entries: 0, bytes: 10 }), 'share-used');
  t.is(room.refusal(undefined, { entries: 0, bytes: 41 }), 'room-full');
  t.is(room.refusal(shareOf('only'), { entries: 0, bytes: -5 }), undefined);
  t.deepEqual(room.usedBy('only'), { entries: 10, bytes: 100 });
  for (let index = 0; index < 10; index++) room.remove('only', one);
  t.deepEqual(room.usedBy('only'), { entries: 0, bytes: 0 });
  t.is(room.bytes, 0);
});
