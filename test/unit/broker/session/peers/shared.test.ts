/** Shared subscriptions whose members are in several partitions: one of them gets each message. */
import test, { type ExecutionContext } from 'ava';
import { ClientWithAcks } from '../../../../support/client-with-acks.ts';
import { startPartitions, type PartitionWorld } from '../../../../support/partition-world.ts';
import { until } from '../../../../support/until.ts';

interface Group {
  readonly partitions: PartitionWorld;
  readonly members: readonly ClientWithAcks[];
  readonly pubs: readonly ClientWithAcks[];
}

/** Partitions with so many members of `$share/g/q/#` each, and a publisher in each. */
async function groupWorld(
  t: ExecutionContext,
  membersOf: readonly number[],
  qos: 0 | 1 | 2 = 1,
): Promise<Group> {
  const partitions = await startPartitions(t, membersOf.length);
  const members: ClientWithAcks[] = [];
  const pubs: ClientWithAcks[] = [];
  for (const [index, count] of membersOf.entries()) {
    const world = partitions.at(index);
    for (let n = 0; n < count; n++) {
      const clientId = `member-${index}-${n}`;
      const member = await ClientWithAcks.connect(world, { clientId, clean: false });
      await member.client.subscribe('$share/g/q/#', qos);
      members.push(member);
    }
    pubs.push(await ClientWithAcks.connect(world, { clientId: `pub-${index}` }));
  }
  return { partitions, members, pubs };
}

const totalOf = (members: readonly ClientWithAcks[]): number =>
  members.reduce((sum, { messages }) => sum + messages.length, 0);

async function idle({ worlds }: PartitionWorld): Promise<void> {
  await until('nothing waits for another partition', () =>
    worlds.every(({ layer }) => layer.peers?.queued.every(({ messages }) => messages === 0)),
  );
}

for (const qos of [0, 1, 2] as const) {
  test(`with QoS ${qos}, exactly one member gets each message, and all members get about as many`, async (t) => {
    const { partitions, members, pubs } = await groupWorld(t, [1, 2, 3], qos);
    const outside = await ClientWithAcks.connect(partitions.at(1), { clientId: 'outside' });
    await outside.client.subscribe('q/+', qos);
    // So that the last announcement of members has arrived everywhere.
    await outside.client.subscribe('$share/other/x', 0);
    for (let n = 0; n < 600; n++) {
      pubs[n % 3]?.client.publish(`q/${n % 5}`, String(n), { qos });
      // Members are not ready while more waits for them than they may have in flight.
      if (n % 20 === 19) await until('arrived', () => totalOf(members) > n);
    }
    await until('all', () => totalOf(members) >= 600 && outside.payloads.length >= 600);
    await idle(partitions);
    for (const { client } of [...members, outside]) await client.settle();
    const payloads = members.flatMap((member) => member.payloads);
    t.is(payloads.length, 600);
    t.is(new Set(payloads).size, 600);
    t.is(new Set(outside.payloads).size, 600);
    for (const { messages } of members) t.true(messages.length >= 60, `${messages.length}`);
  });
}

test('the members of a partition that is away are passed over, and what was queued for it arrives later', async (t) => {
  const { partitions, members, pubs } = await groupWorld(t, [1, 1]);
  partitions.linkOf(0, 1).data.isHeld = true;
  for (let n = 0; n < 10; n++) {
    pubs[0]?.client.publish('q/x', String(n), { qos: 1 });
  }
  await until('acknowledged', () => pubs[0]?.acknowledged === 10);
  await until('the own member got its part', () => members[0]?.messages.length === 5);
  t.is(partitions.at(0).layer.peers?.queued[0]?.messages, 5);
  partitions.cut(0, 1);
  await until('closed', () => partitions.at(0).layer.peers?.connected.length === 0);
  for (let n = 10; n < 20; n++) pubs[0]?.client.publish('q/x', String(n), { qos: 1 });
  await until('the own member gets all', () => members[0]?.messages.length === 15);
  partitions.link(0, 1);
  await until('the other one gets its part', () => members[1]?.messages.length === 5);
  const payloads = members.flatMap((member) => member.payloads);
  t.is(new Set(payloads).size, 20);
});

test('members without a connection get messages only if no member has one', async (t) => {
  const { partitions, members, pubs } = await groupWorld(t, [0, 1, 1]);
  await members[0]?.client.cut();
  await until('it is announced', () => partitions.at(1).count('disconnected') === 1);
  const sub = await partitions.at(1).connect({ clientId: 'marker' });
  await sub.subscribe('marker', 0);
  for (let n = 0; n < 10; n++) pubs[0]?.client.publish('q/x', String(n), { qos: 1 });
  await until('the other one', () => members[1]?.messages.length === 10);
  await members[1]?.client.cut();
  await until('it is announced', () => partitions.at(2).count('disconnected') === 1);
  const other = await partitions.at(2).connect({ clientId: 'marker' });
  await other.subscribe('marker', 1);
  for (let n = 10; n < 20; n++) pubs[0]?.client.publish('q/x', String(n), { qos: 1 });
  await until('acknowledged', () => pubs[0]?.acknowledged === 20);
  await idle(partitions);
  const again = await Promise.all(
    [1, 2].map((index) =>
      ClientWithAcks.connect(partitions.at(index), { clientId: `member-${index}-0`, clean: false }),
    ),
  );
  await until('all that was kept', () => totalOf(again) === 10);
  t.is(new Set(again.flatMap(({ payloads }) => payloads)).size, 10);
});

test('a message for a member that has left is passed to a partition that has members, once', async (t) => {
  const { partitions, members, pubs } = await groupWorld(t, [1, 0, 1]);
  // Partition 1 chooses partition 0, whose member leaves before the message arrives.
  for (const target of [0, 2]) partitions.cut(1, target);
  await until('closed', () => partitions.at(1).layer.peers?.connected.length === 0);
  for (let n = 0; n < 10; n++) pubs[1]?.client.publish('q/x', String(n), { qos: 1 });
  await until('acknowledged', () => pubs[1]?.acknowledged === 10);
  const queued = partitions.at(1).layer.peers?.queued.map(({ messages }) => messages);
  t.deepEqual(queued, [5, 5]);
  members[0]?.client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['$share/g/q/#'] });
  await members[0]?.client.next('unsuback');
  partitions.link(1, 0);
  partitions.link(1, 2);
  await until('the other one gets all', () => members[1]?.messages.length === 10);
  await idle(partitions);
  t.is(totalOf(members), 10);
  // The policy allows no member to receive it: it does not circulate.
  partitions.at(2).authorizer.deny.receive = () => true;
  partitions.at(2).authorizer.version++;
  pubs[1]?.client.publish('q/x', 'nobody', { qos: 1 });
  await until('acknowledged', () => pubs[1]?.acknowledged === 11);
  await idle(partitions);
  t.is(totalOf(members), 10);
});

test('a retained message reaches one member, and normal subscriptions', async (t) => {
  const { partitions, members, pubs } = await groupWorld(t, [1, 1, 1]);
  const outside = await ClientWithAcks.connect(partitions.at(1), { clientId: 'outside' });
  await outside.client.subscribe('q/+', 1);
  for (let n = 0; n < 30; n++) {
    pubs[n % 3]?.client.publish(`q/${n}`, String(n), { qos: 1, retain: true });
  }
  for (const pub of pubs) await until('acknowledged', () => pub.acknowledged === 10);
  await until('all', () => totalOf(members) >= 30 && outside.payloads.length >= 30);
  await idle(partitions);
  const payloads = members.flatMap((member) => member.payloads);
  t.is(payloads.length, 30);
  t.is(new Set(payloads).size, 30);
  t.is(outside.payloads.length, 30);
  for (const { messages } of members) t.true(messages.length > 0);
  for (const { layer } of partitions.worlds) t.is(layer.statistics().retained, 30);
});

test('cuts of links lose no message for a group, and with QoS 2 none comes twice', async (t) => {
  const { partitions, members, pubs } = await groupWorld(t, [1, 1, 1], 2);
  const count = 1200;
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  for (let n = 0; n < count; n++) {
    pubs[n % 3]?.client.publish(`q/${n % 5}`, String(n), { qos: 2 });
    if (n % 40 !== 39) continue;
    const least = Math.floor((n * Math.random()) / 2);
    await until('some', () => totalOf(members) >= least);
    const [one, two] = pairs[Math.floor(Math.random() * 3)] ?? pairs[0];
    partitions.cut(one, two);
    partitions.link(one, two);
  }
  await until('all', () => totalOf(members) >= count);
  await idle(partitions);
  for (const { client } of members) await client.settle();
  const payloads = members.flatMap((member) => member.payloads);
  t.is(payloads.length, count);
  t.is(new Set(payloads).size, count);
});
