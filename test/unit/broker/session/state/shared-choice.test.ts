/** Which receiver of a shared subscription gets a message, when a receiver can stand for many members. */
import test from 'ava';
import fc from 'fast-check';
import type { SharedTarget } from '../../../../../broker/routing/topic-route.ts';
import {
  oneBusy,
  oneOffline,
  oneReady,
  type Readiness,
} from '../../../../../broker/session/delivery/receiver.ts';
import { chooseMember } from '../../../../../broker/session/state/shared-choice.ts';

interface Member {
  readonly name: string;
  readiness: Readiness;
}

function groupOf(...members: Member[]): SharedTarget<Member> {
  return {
    group: 'g',
    filter: 'f',
    turn: { next: 0, taken: 0 },
    members: members.map((subscriber) => ({
      subscriber,
      qos: 1,
      retainAsPublished: false,
      identifiers: [],
      forOwnMessages: undefined,
    })),
  };
}

const member = (name: string, readiness: Partial<Readiness>): Member => ({
  name,
  readiness: { ready: 0, busy: 0, offline: 0, ...readiness },
});

const chosen = (group: SharedTarget<Member>, count: number): string =>
  Array.from({ length: count }, () => chooseMember(group)?.subscriber.name ?? '-').join('');

test('members take turns, and a receiver has as many turns in a row as it has members that are ready', (t) => {
  const group = groupOf(
    member('a', oneReady),
    member('N', { ready: 3, busy: 5, offline: 9 }),
    member('b', oneReady),
  );
  t.is(chosen(group, 15), 'aNNNbaNNNbaNNNb');
});

test('ready before busy before offline, and never a receiver without members', (t) => {
  const a = member('a', oneOffline);
  const b = member('b', oneOffline);
  const node = member('N', { offline: 2 });
  const group = groupOf(a, b, node, member('empty', {}));
  t.is(chosen(group, 8), 'abNNabNN');
  node.readiness = { ready: 0, busy: 2, offline: 7 };
  t.is(chosen(group, 3), 'NNN');
  b.readiness = oneBusy;
  t.is(chosen(group, 6), 'NbNNbN');
  a.readiness = oneReady;
  t.is(chosen(group, 3), 'aaa');
  node.readiness = { ready: 2, busy: 0, offline: 0 };
  t.is(chosen(group, 6), 'NNaNNa');
  t.is(chosen(groupOf(member('empty', {})), 2), '--');
});

test('a turn goes on with the next member when a receiver loses its members in the middle of it', (t) => {
  const node = member('N', { ready: 4 });
  const group = groupOf(node, member('a', oneReady), member('b', oneReady));
  t.is(chosen(group, 2), 'NN');
  node.readiness = { ready: 0, busy: 4, offline: 0 };
  t.is(chosen(group, 3), 'aba');
  node.readiness = { ready: 2, busy: 0, offline: 0 };
  t.is(chosen(group, 5), 'bNNab');
});

test('messages are shared in proportion to the members, and one that is ready always gets it', (t) => {
  const count = fc.integer({ min: 0, max: 5 });
  const readiness = fc.record({ ready: count, busy: count, offline: count });
  fc.assert(
    fc.property(fc.array(readiness, { minLength: 1, maxLength: 12 }), (all) => {
      const members = all.map((one, index) => member(String(index), one));
      const group = groupOf(...members);
      const kind = (['ready', 'busy', 'offline'] as const).find((one) =>
        all.some((counts) => counts[one] > 0),
      );
      if (kind === undefined) {
        t.is(chooseMember(group), undefined);
        return;
      }
      const total = all.reduce((sum, one) => sum + one[kind], 0);
      const rounds = 3;
      const times = new Map<Member, number>();
      for (let n = 0; n < rounds * total; n++) {
        const found = chooseMember(group)?.subscriber;
        if (found === undefined) break;
        times.set(found, (times.get(found) ?? 0) + 1);
      }
      t.deepEqual(
        members.map((one) => times.get(one) ?? 0),
        members.map((one) => rounds * one.readiness[kind]),
      );
    }),
  );
});
