/** The class, events and hooks of Aedes for plug-ins (docs/plug-ins.md). */
import { Aedes } from 'aedes';
import test from 'ava';
import { hookTimeoutMs } from '../../../../../broker/session/handlers/plugin-hooks.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { startWorld, type RawClient } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('plug-ins of Aedes get clients and messages, and can subscribe and publish', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  const seen: string[] = [];
  core.on('client', (client) => void seen.push(`client ${client.id}`));
  core.on('clientDisconnect', (client) => void seen.push(`gone ${client.id}`));
  core.on(
    'publish',
    (packet, client) => void seen.push(`${packet.topic} by ${client?.id ?? 'broker'}`),
  );
  await new Promise<void>((resolve) =>
    core.subscribe(
      'in/#',
      (packet, done) => {
        seen.push(`received ${packet.topic}`);
        done();
      },
      resolve,
    ),
  );
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('out', 1);
  client.publish('in/x', 'hello');
  await client.settle();
  await new Promise<void>((resolve) =>
    core.publish(
      {
        cmd: 'publish',
        topic: 'out',
        payload: 'from a plug-in',
        qos: 1,
        retain: false,
        dup: false,
      },
      () => resolve(),
    ),
  );
  t.is(String((await client.next('publish')).payload), 'from a plug-in');
  await client.disconnect();
  await until('the event', () => seen.includes('gone c'));
  t.deepEqual(seen, ['client c', 'received in/x', 'in/x by c', 'out by broker', 'gone c']);
});

test('plug-ins find clients by their id, as in Aedes, and can publish to a single one', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  t.true(core instanceof Aedes);
  const seen: { id: string; connected: boolean; clean: boolean; version: number }[] = [];
  core.on('client', ({ id, connected, clean, version }) => {
    seen.push({ id, connected, clean, version });
  });
  const one = await world.connect({ version: 5, clientId: 'one' });
  const kept = await world.connect({ clientId: 'kept', clean: false });
  t.deepEqual(seen, [
    { id: 'one', connected: true, clean: true, version: 5 },
    { id: 'kept', connected: true, clean: false, version: 4 },
  ]);
  t.is(core.connectedClients, 2);
  const clients = Reflect.get(core, 'clients') as Record<string, PlugIn | undefined>;
  t.deepEqual(Object.keys(clients), ['one', 'kept']);
  t.is(clients['constructor'], undefined);
  await new Promise<void>((resolve, reject) =>
    clients['kept']?.publish({ topic: 'only/you', payload: 'hello', qos: 1 }, (error) =>
      error === undefined ? resolve() : reject(error),
    ),
  );
  t.is((await kept.next('publish')).topic, 'only/you');
  t.deepEqual(await one.received(), []);
  const gone = new Promise<void>((resolve) => clients['one']?.close(resolve));
  t.is((await one.next('disconnect')).reasonCode, 0x98);
  await gone;
  t.is(clients['one'], undefined);
});
interface PlugIn {
  publish(packet: object, done: (error?: Error) => void): void;
  close(done: () => void): void;
}

test('every event of Aedes is emitted, and costs nothing without listeners', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  const seen: string[] = [];
  core.on('connackSent', (packet, { id }) => {
    seen.push(`connack ${String(packet.returnCode)} ${String(packet.sessionPresent)} ${id}`);
  });
  core.on('subscribe', (subscriptions, { id }) => {
    seen.push(`subscribe ${JSON.stringify(subscriptions)} ${id}`);
  });
  core.on(
    'unsubscribe',
    (filters, { id }) => void seen.push(`unsubscribe ${filters.join()} ${id}`),
  );
  core.on('ping', ({ cmd }, { id }) => void seen.push(`${cmd} ${id}`));
  core.on('ack', ({ cmd, messageId }, { id }) => void seen.push(`ack ${cmd} ${messageId} ${id}`));
  core.on('clientError', ({ id }, error) => void seen.push(`${id}: ${error.message}`));
  core.on('connectionError', ({ id }, error) => void seen.push(`"${id}": ${error.message}`));
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('a/#', 2);
  for (const qos of [1, 2] as const) client.publish('a/b', 'x', { qos });
  client.ack('puback', (await client.next('publish')).messageId!);
  client.ack('pubrec', (await client.next('publish')).messageId!);
  client.ack('pubcomp', (await client.next('pubrel')).messageId!);
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a/#'] });
  await client.next('unsuback');
  await client.settle();
  client.write('f000');
  await client.end();
  const unknown = await world.raw('unknown');
  unknown.write('c000');
  await unknown.end();
  t.deepEqual(seen, [
    'connack 0 false c',
    'subscribe [{"topic":"a/#","qos":2}] c',
    'ack publish 1 c',
    'ack pubrel 2 c',
    'unsubscribe a/# c',
    'pingreq c',
    'c: packet type 15',
    '"": [MQTT-3.1.0-1] the first packet is not CONNECT',
  ]);
  core.removeAllListeners('ping');
  t.false(world.layer.context.hooks.hasListeners.ping);
  t.true(world.layer.context.hooks.hasListeners.ack);
});

test('keepaliveTimeout is emitted before the connection is closed', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const seen: string[] = [];
  world.layer.core.on(
    'keepaliveTimeout',
    ({ id, connected }) => void seen.push(`${id} ${connected}`),
  );
  const client = await world.connect({ clientId: 'c', keepAlive: 10 });
  clock.advance(16_000);
  await client.end();
  t.deepEqual(seen, ['c true']);
});

test('authorizePublish can refuse what the policy allows, and the changed message is routed', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  core.authorizePublish = (client, packet, callback) => {
    if (packet.topic === 'no') return callback(new Error('no'));
    if (packet.topic === 'throws') throw new Error('broken');
    if (packet.topic === 'from') {
      packet.topic = 'to';
      packet.payload = `${packet.payload.toString()} by ${client?.id ?? 'nobody'}`;
      packet.qos = 0;
    }
    callback(null);
  };
  const sub = await world.connect({ version: 5, clientId: 'sub' });
  await sub.subscribe('#', 2);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  const old = await world.connect({ clientId: 'old' });
  pub.publish('no', 'x', { qos: 1 });
  t.is((await pub.next('puback')).reasonCode, 0x87);
  pub.publish('throws', 'x', { qos: 2 });
  t.is((await pub.next('pubrec')).reasonCode, 0x87);
  pub.publish('from', 'x', { qos: 1, properties: { contentType: 'text' } });
  t.is((await pub.next('puback')).reasonCode ?? 0, 0);
  old.publish('no', 'x', { qos: 1 });
  await old.end();
  const got = await sub.received();
  t.deepEqual(
    got.map(({ topic, payload, qos, properties }) => [
      topic,
      String(payload),
      qos,
      properties?.['contentType'],
    ]),
    [['to', 'x by pub', 0, 'text']],
  );
  t.is(world.count('denied', 'plug-in-refused'), 3);
});

test('authorizePublish may answer later: its connection waits and keeps the order, no other connection waits', async (t) => {
  const world = await startWorld(t);
  const waiting: (() => void)[] = [];
  world.layer.core.authorizePublish = (_client, packet, callback) => {
    if (packet.topic.startsWith('slow')) waiting.push(() => callback(null));
    else callback(null);
  };
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('#', 0);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('slow/1', 'x', { qos: 1, id: 1 });
  pub.publish('fast', 'x', { qos: 1, id: 2 });
  pub.publish('slow/2', 'x', { qos: 2, id: 3 });
  await until('asked', () => waiting.length === 1);
  const other = await world.connect({ clientId: 'other' });
  other.publish('other', 'x');
  t.is((await sub.next('publish')).topic, 'other');
  t.deepEqual(pub.packets, []);
  waiting.shift()?.();
  await until('asked again', () => waiting.length === 1);
  waiting.shift()?.();
  await pub.next('pubrec');
  t.deepEqual(
    pub.packets.map(({ messageId }) => messageId),
    [1, 2],
  );
  t.deepEqual(
    (await sub.received()).map(({ topic }) => topic),
    ['slow/1', 'fast', 'slow/2'],
  );
});

test('a message that waits for a plug-in keeps its payload and properties', async (t) => {
  const world = await startWorld(t);
  world.layer.core.authorizePublish = (_client, _packet, callback) => {
    setImmediate(callback, null);
  };
  const sub = await world.connect({ version: 5, clientId: 'sub' });
  await sub.subscribe('#', 0);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  for (const topic of ['a', 'b', 'c']) {
    const properties = { userProperties: { name: `value of ${topic}` } };
    pub.publish(topic, `payload of ${topic}`, { properties });
  }
  await until('all arrived', () => sub.packets.length === 3);
  t.deepEqual(
    sub.packets.map((one) => [
      one.topic,
      String(one.payload),
      { ...(one.properties?.['userProperties'] as object) },
    ]),
    ['a', 'b', 'c'].map((topic) => [topic, `payload of ${topic}`, { name: `value of ${topic}` }]),
  );
});

test('a hook that never answers closes its connection only', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  let asked = 0;
  world.layer.core.authorizePublish = () => {
    asked++;
  };
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  pub.publish('x', 'x', { qos: 1 });
  await until('asked', () => asked === 1);
  clock.advance(hookTimeoutMs);
  t.is((await pub.next('disconnect')).reasonCode, 0x83);
  await pub.end();
});

test('authorizePublish runs for wills too', async (t) => {
  const world = await startWorld(t);
  world.layer.core.authorizePublish = (client, packet, callback) => {
    callback(client === null && packet.topic === 'will/no' ? new Error('no') : null);
  };
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('will/#', 0);
  for (const topic of ['will/no', 'will/yes']) {
    const dying = await world.connect({
      clientId: 'dying',
      will: { topic, payload: Buffer.from('x') },
    });
    await dying.cut();
  }
  t.is((await sub.next('publish')).topic, 'will/yes');
  t.deepEqual(await sub.received(), []);
});

test('authorizeForward allows and changes each message to each client: live, retained and queued', async (t) => {
  const world = await startWorld(t);
  world.layer.core.authorizeForward = (client, packet) => {
    if (packet.topic === 'throws') throw new Error('broken');
    if (packet.topic === 'secret' && client.id !== 'trusted') return null;
    return { ...packet, payload: `${packet.payload.toString()} to ${client.id}` };
  };
  const trusted = await world.connect({ clientId: 'trusted' });
  const other = await world.connect({ clientId: 'other' });
  const away = await world.connect({ clientId: 'away', clean: false });
  for (const client of [trusted, other, away]) await client.subscribe('#', 1);
  await away.cut();
  const pub = await world.connect({ clientId: 'pub' });
  for (const qos of [0, 1] as const) {
    for (const topic of ['secret', 'open', 'throws']) {
      pub.publish(topic, `${topic}${qos}`, { qos, retain: topic !== 'throws' });
    }
  }
  await pub.settle();
  const texts = async (client: RawClient): Promise<string[]> =>
    (await client.received()).map(({ payload }) => String(payload));
  t.deepEqual(await texts(trusted), [
    'secret0 to trusted',
    'open0 to trusted',
    'secret1 to trusted',
    'open1 to trusted',
  ]);
  t.deepEqual(await texts(other), ['open0 to other', 'open1 to other']);
  const back = await world.connect({ clientId: 'away', clean: false });
  t.deepEqual(await texts(back), ['open1 to away']);
  const late = await world.connect({ clientId: 'late' });
  await late.subscribe('#', 1);
  t.deepEqual(await texts(late), ['open1 to late']);
  // A refused message does not stay in a window or a queue.
  back.ack('puback', 2);
  await back.settle();
  t.is(world.layer.statistics().queuedMessages, 0);
});

test('published is called for every message, also of the broker, and can disconnect its publisher', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  const seen: string[] = [];
  core.published = (packet, client: { id: string } | null, callback) => {
    seen.push(`${packet.topic} ${client?.id ?? 'broker'}`);
    callback(packet.topic === 'bad' ? new Error('bad') : null);
  };
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('good', 'x');
  await pub.settle();
  await world.layer.publish({ topic: 'own', payload: Buffer.from('x'), qos: 0, retain: false });
  pub.publish('bad', 'x');
  await pub.end();
  t.deepEqual(seen, ['good pub', 'own broker', 'bad pub']);
});

test('preConnect and authenticate can refuse, at once or later, with user name and password', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  const seen: string[] = [];
  core.preConnect = (client, packet, callback) => {
    seen.push(`pre ${packet.clientId} ${packet.will?.topic ?? '-'} ${client.connected}`);
    setImmediate(callback, null, packet.clientId !== 'unwanted');
  };
  core.authenticate = (_client, userName, password, done) => {
    seen.push(`auth ${String(userName)} ${String(password)}`);
    done(null, userName !== 'nobody');
  };
  const refused = async (version: 4 | 5, clientId: string, username?: string): Promise<number> => {
    const client = await world.raw(clientId);
    client.version = version;
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: true,
      keepalive: 0,
      ...(username === undefined ? {} : { username, password: Buffer.from('pass') }),
    });
    client.publish('x', 'behind CONNECT');
    const connack = await client.next('connack');
    await client.end();
    return connack.returnCode ?? connack.reasonCode ?? -1;
  };
  t.is(await refused(4, 'unwanted'), 5);
  t.is(await refused(4, 'c', 'nobody'), 5);
  const good = await world.connect({
    version: 5,
    clientId: 'good',
    will: { topic: 'w', payload: Buffer.from('x') },
  });
  t.is(good.connack?.reasonCode, 0);
  await good.settle();
  t.deepEqual(seen, [
    'pre unwanted - false',
    'pre c - false',
    'auth nobody pass',
    'pre good w false',
    'auth undefined undefined',
  ]);
  t.is(world.count('refused', 'plug-in-refused'), 2);
  t.is(world.count('connected'), 1);
});

test('authorizeSubscribe refuses each filter or lowers its QoS, and may answer later', async (t) => {
  const world = await startWorld(t);
  world.layer.core.authorizeSubscribe = (_client, subscription, callback) => {
    if (subscription.topic === 'error') return callback(new Error('no'));
    if (subscription.topic === 'null') return callback(null, null);
    if (subscription.topic === 'lower') return callback(null, { ...subscription, qos: 0 });
    if (subscription.topic === 'raise') return callback(null, { ...subscription, qos: 2 });
    setImmediate(callback, null, subscription);
  };
  const topics = ['later', 'error', 'null', 'lower', 'raise', 'later/2'];
  const mqtt5 = await world.connect({ version: 5, clientId: 'mqtt5' });
  const suback = await mqtt5.subscribe(
    topics.map((topic) => ({ topic })),
    1,
  );
  t.deepEqual(suback.granted, [1, 0x87, 0x87, 0, 1, 1]);
  const mqtt311 = await world.connect({ clientId: 'mqtt311' });
  const oldSuback = await mqtt311.subscribe(
    topics.map((topic) => ({ topic })),
    1,
  );
  t.deepEqual(oldSuback.granted, [1, 0x80, 0x80, 0, 1, 1]);
  t.is(world.layer.statistics().subscriptions, 8);
});

test('a hook that is removed is not called any more', async (t) => {
  const world = await startWorld(t);
  const { core } = world.layer;
  const { authorizePublish } = core;
  core.authorizePublish = (_client, _packet, callback) => callback(new Error('no'));
  core.authorizePublish = authorizePublish;
  t.is(world.layer.context.hooks.authorizePublish, undefined);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  pub.publish('x', 'x', { qos: 1 });
  t.is((await pub.next('puback')).reasonCode ?? 0, 0);
});

test('a will is published unchanged when a plug-in answers its CONNECT later', async (t) => {
  const world = await startWorld(t);
  const watcher = await world.connect({ version: 5, clientId: 'watcher' });
  await watcher.subscribe('gone', 1);
  world.layer.core.authenticate = (_client, _userName, _password, done) => {
    setImmediate(() => done(null, true));
  };
  const userProperties = { userProperties: { kept: 'value' } };
  const client = await world.connect({
    version: 5,
    clientId: 'c',
    will: { topic: 'gone', payload: Buffer.from('as sent'), qos: 1, properties: userProperties },
  });
  await client.cut();
  const will = await watcher.next('publish');
  t.is(String(will.payload), 'as sent');
  t.like(will.properties, userProperties);
});
