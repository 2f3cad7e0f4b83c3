/** Two session layers whose nodes send each other messages: a publisher waits for the commit of the other node. */
import test from 'ava';
import fc from 'fast-check';
import { PeerLink } from '../../../../broker/cluster/peer-link.ts';
import {
  MessageRecord,
  readMessageRecords,
  type RemoteMessage,
} from '../../../../broker/cluster/message-record.ts';
import { RemoteNode } from '../../../../broker/cluster/remote-node.ts';
import { Message } from '../../../../broker/session/delivery/message.ts';
import type { Qos } from '../../../../broker/store/session-store.ts';
import { slowStore } from '../../../support/slow-store.ts';
import { startWorld, type World } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

interface ClusterNode {
  readonly world: World;
  readonly link: PeerLink;
  /** What the other node has sent and this one has not received. Undefined: it receives at once. */
  held: Buffer[] | undefined;
}

/** Two nodes, each of which sends the other one everything that matches `shared/#`. */
async function cluster(
  t: Parameters<typeof startWorld>[0],
  store?: ReturnType<typeof slowStore>,
): Promise<readonly [ClusterNode, ClusterNode]> {
  const nodes: ClusterNode[] = [];
  for (const [index, worldOptions] of [{}, store === undefined ? {} : store].entries()) {
    const world = await startWorld(t, worldOptions);
    const { publisher, context } = world.layer;
    const other = (): ClusterNode | undefined => nodes[1 - index];
    const link = new PeerLink({
      incarnation: index + 1,
      position: { incarnation: 0, number: 0 },
      parkedMaxBytes: 1_000_000,
      inFlightMaxBytes: 1_000_000,
      batchMaxBytes: 1_000_000,
      probeAfterMs: 60_000,
      send(packet) {
        setImmediate(() => {
          const receiver = other();
          if (receiver?.held !== undefined) receiver.held.push(packet);
          else receiver?.link.receive(packet, 0);
          receiver?.link.flush();
        });
      },
      apply: (records) =>
        void readMessageRecords(records, (message) =>
          publisher.publish(message, publisher.route(message.topic), undefined),
        ),
      afterCommit: (call) => context.store.afterCommit((error) => error ?? call()),
    });
    let isScheduled = false;
    const flushLater = (): void => {
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        link.flush();
      });
    };
    publisher.router.add({
      subscriber: new RemoteNode(link.sender, flushLater),
      filter: 'shared/#',
      group: undefined,
      qos: 2,
      noLocal: false,
      retainAsPublished: true,
      identifier: undefined,
    });
    nodes.push({ world, link, held: undefined });
  }
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error('two nodes');
  first.link.reconnected(0);
  second.link.reconnected(0);
  await until('they know each other', () =>
    [first, second].every(({ link }) => link.sender.peerIncarnation > 0),
  );
  return [first, second];
}

test('messages of all QoS reach sessions of the other node, once, with their properties and publisher', async (t) => {
  const [one, two] = await cluster(t);
  const here = await one.world.connect({ clientId: 'here', version: 5 });
  const there = await two.world.connect({ clientId: 'there', version: 5 });
  await here.subscribe('shared/#', 2);
  await there.subscribe('shared/#', 2);
  const pub = await one.world.connect({ clientId: 'pub', version: 5 });
  const old = await one.world.connect({ clientId: 'old', version: 4 });
  for (const qos of [0, 1, 2] as const) {
    pub.publish('shared/ü', `five ${qos}`, {
      qos,
      id: qos + 1,
      properties: { userProperties: { a: 'b' }, messageExpiryInterval: 100 },
    });
    old.publish('shared/x', `four ${qos}`, { qos, id: qos + 1 });
  }
  await pub.next('puback');
  await pub.next('pubrec');
  await old.next('puback');
  await old.next('pubrec');
  for (const client of [here, there]) {
    const messages = await until('all six', () => {
      const found = client.packets.filter(({ cmd }) => cmd === 'publish');
      return found.length === 6 ? found : undefined;
    });
    const five = messages.filter(({ topic }) => topic === 'shared/ü');
    t.deepEqual(
      five.map(({ payload, qos }) => [String(payload), qos]),
      [0, 1, 2].map((qos) => [`five ${qos}`, qos]),
    );
    for (const { properties } of five) {
      t.deepEqual({ ...(properties?.userProperties as object) }, { a: 'b' });
      t.is(properties?.messageExpiryInterval, 100);
    }
    t.is(messages.length - five.length, 3);
  }
});

test('PUBACK leaves when the other node has committed', async (t) => {
  const slow = slowStore();
  const [one, two] = await cluster(t, slow);
  t.teardown(() => setImmediate(() => slow.commit()));
  const kept = await two.world.raw('kept');
  kept.connect({ clientId: 'kept', clean: false });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await kept.next('connack');
  const subscribed = kept.subscribe('shared/#', 1);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await subscribed;
  const pub = await one.world.connect({ clientId: 'pub' });
  const other = await one.world.connect({ clientId: 'other' });
  pub.publish('shared/x', 'stored', { qos: 1, id: 1 });
  await kept.next('publish');
  await until('its acknowledgement waits', () => slow.waiting() > 0);
  other.publish('local', 'x', { qos: 1, id: 1 });
  await other.next('puback');
  await pub.settle();
  t.deepEqual(pub.packets, []);
  slow.commit();
  await pub.next('puback');
});

test('a lost connection between the nodes delays the acknowledgement until it is there again', async (t) => {
  const [one, two] = await cluster(t);
  const there = await two.world.connect({ clientId: 'there' });
  await there.subscribe('shared/#', 1);
  const pub = await one.world.connect({ clientId: 'pub' });
  two.held = [];
  for (let id = 1; id <= 5; id++) {
    pub.publish('shared/x', String(id), { qos: 1, id });
    await pub.settle();
  }
  t.deepEqual(pub.packets, []);
  two.held = undefined;
  one.link.reconnected(0);
  for (let id = 1; id <= 5; id++) t.is((await pub.next('puback')).messageId, id);
  t.deepEqual(
    (await there.received()).map(({ payload }) => String(payload)),
    ['1', '2', '3', '4', '5'],
  );
});

test('any messages are read as they were written, and any other bytes are refused', (t) => {
  const utf8 = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  const one = fc.record({
    topic: utf8.filter((text) => !/[+#]/.test(text) && !text.includes('\u0000')),
    qos: fc.constantFrom<Qos>(0, 1, 2),
    retain: fc.boolean(),
    payload: fc.uint8Array({ maxLength: 300 }),
    publisher: fc.option(utf8, { nil: undefined }),
    expiresAtMs: fc.constantFrom(0, 1_900_000_000_000),
    // A user property.
    properties: fc.option(fc.constant(Buffer.from('260001610001ff'.replace('ff', '62'), 'hex')), {
      nil: undefined,
    }),
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(one, { maxLength: 5 }), fc.nat(), fc.nat(255), (all, position, byte) => {
        const record = new MessageRecord();
        const parts = all.map(
          ({ topic, qos, retain, payload, publisher, expiresAtMs, properties }) => {
            const message = new Message(topic, qos, retain, publisher);
            message.setPayload(Buffer.from(payload), 0, payload.length);
            message.setProperties(properties, expiresAtMs);
            const { bytes } = record.set(message, qos);
            const part = Buffer.alloc(bytes);
            record.copyTo(part, 0);
            return part;
          },
        );
        const read: RemoteMessage[] = [];
        const bytes = Buffer.concat(parts);
        if (!readMessageRecords(bytes, (message) => void read.push(message)))
          throw new Error('refused');
        const shown = read.map((message) => ({
          topic: message.topic,
          qos: message.qos,
          retain: message.retain,
          payload: message.payload.toString('hex'),
          publisher: message.publisher,
          expiresAtMs: message.expiresAtMs,
          properties: message.properties?.toString('hex'),
        }));
        const expected = all.map((message) => ({
          ...message,
          payload: Buffer.from(message.payload).toString('hex'),
          properties: message.properties?.toString('hex'),
        }));
        if (JSON.stringify(shown) !== JSON.stringify(expected)) {
          // The order of the keys is that of the arbitrary.
          t.deepEqual(shown, expected);
        }
        if (bytes.length > 0) bytes[position % bytes.length] = byte;
        readMessageRecords(bytes, () => undefined);
        readMessageRecords(bytes.subarray(0, position % (bytes.length + 1)), () => undefined);
      }),
    ),
  );
});
