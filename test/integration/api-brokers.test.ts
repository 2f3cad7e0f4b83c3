import test from 'ava';
import {
  retainedAnswerSchema,
  sessionDetailSchema,
  sessionsAnswerSchema,
  connectionsAnswerSchema,
} from '../../core/protocol/broker-query.ts';
import { deviceConnectionsSchema } from '../../core/protocol/operator-api.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { enrollService, replyOf } from '../support/enroll-service.ts';
import { followEvents } from '../support/event-stream.ts';
import { fleetWorld, type FleetWorld } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

async function brokerName(world: FleetWorld): Promise<string> {
  return until('a broker', async () => {
    const { body } = await world.enroll.asAdmin('GET', '/v1/brokers');
    const [broker] = body['brokers'] as { broker: string; connected: boolean }[];
    return broker?.connected === true ? broker.broker : undefined;
  });
}

test('connections, sessions, subscriptions and queues of a broker are seen over the feed', async (t) => {
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  const name = await brokerName(world);
  const clients = await Promise.all(
    ['d1', 'd2', 'd3'].map(async (id) => {
      const options = { clientId: id, protocolVersion: 5 as const, keepalive: 30 };
      return world.mqtt(await world.device(id), options);
    }),
  );
  await clients[0]!.subscribeAsync('devices/d1/#', { qos: 1 });
  const first = await asAdmin('GET', `/v1/brokers/${name}/connections?limit=2`);
  const page = connectionsAnswerSchema.parse(first.body);
  t.deepEqual(
    page.connections.map(({ device }) => device),
    ['d1', 'd2'],
  );
  t.like(page.connections[0], {
    clientId: 'd1',
    protocolVersion: 5,
    keepAliveSeconds: 30,
    subscriptions: 1,
    role: 'device',
    remoteAddress: '127.0.0.1',
  });
  const second = await asAdmin('GET', `/v1/brokers/${name}/connections?after=${page.next}`);
  t.deepEqual(
    connectionsAnswerSchema.parse(second.body).connections.map(({ device }) => device),
    ['d3'],
  );
  const found = await asAdmin('GET', `/v1/brokers/${name}/connections?search=d2`);
  t.is(connectionsAnswerSchema.parse(found.body).connections.length, 1);
  const session = await asAdmin('GET', `/v1/brokers/${name}/session?clientId=d1`);
  t.deepEqual(
    sessionDetailSchema.parse(session.body).filters.map(({ filter, qos }) => ({ filter, qos })),
    [{ filter: 'devices/d1/#', qos: 1 }],
  );
  const missing = await asAdmin('GET', `/v1/brokers/${name}/session?clientId=none`);
  t.is(missing.body['code'], 'session-not-found');
  t.is(missing.status, 404);
  const live = await until('presence', async () => {
    const { body } = await asAdmin('GET', '/v1/devices/d2/connections');
    const { connections } = deviceConnectionsSchema.parse(body);
    return connections.length === 1 ? connections : undefined;
  });
  t.like(live[0], { broker: name, clientId: 'd2' });
  t.is((await asAdmin('GET', '/v1/brokers/none/connections')).body['code'], 'broker-not-connected');
});

test('sessions with the longest queue come first', async (t) => {
  const world = await fleetWorld(t);
  const name = await brokerName(world);
  const backend = await world.mqtt(await world.backend('b1'), { clientId: 'b1' });
  for (const [id, count] of [
    ['d1', 1],
    ['d2', 3],
  ] as const) {
    const device = await world.device(id);
    const options = {
      clientId: id,
      clean: false,
      protocolVersion: 5 as const,
      properties: { sessionExpiryInterval: 3600 },
    };
    const client = await world.mqtt(device, options);
    await client.subscribeAsync(`devices/${id}/commands/#`, { qos: 1 });
    await client.endAsync();
    for (let at = 0; at < count; at++) {
      await backend.publishAsync(`devices/${id}/commands/x`, 'go', { qos: 1 });
    }
  }
  const { body } = await world.enroll.asAdmin('GET', `/v1/brokers/${name}/sessions?sort=queue`);
  const { sessions } = sessionsAnswerSchema.parse(body);
  t.deepEqual(
    sessions.map(({ clientId, queuedMessages, connected }) => [
      clientId,
      queuedMessages,
      connected,
    ]),
    [
      ['d2', 3, false],
      ['d1', 1, false],
    ],
  );
});

test('an operator ends a connection, and the audit log has it', async (t) => {
  const world = await fleetWorld(t);
  const client = await world.mqtt(await world.device('d1'), {
    clientId: 'd1',
    protocolVersion: 5,
  });
  const reason = new Promise((resolve) =>
    client.once('disconnect', ({ reasonCode }) => resolve(reasonCode)),
  );
  await until('it is gone', async () => {
    const { body } = await world.enroll.asAdmin('POST', '/v1/devices/d1/disconnect');
    return body['connectionsClosed'] === 1 || undefined;
  });
  t.is(await reason, 0x98);
  const lines = await world.enroll.audit();
  t.like(
    lines.findLast(({ action }) => action === 'connection-ended'),
    { actor: 'admin', device: 'd1', detail: { connections: 1 } },
  );
});

test('an operator publishes what the policy allows, and learns which rule is missing', async (t) => {
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  await brokerName(world);
  const device = await world.mqtt(await world.device('d1'), { clientId: 'd1' });
  await device.subscribeAsync('devices/d1/commands/#', { qos: 1 });
  const came = new Promise((resolve) =>
    device.once('message', (topic, payload) => resolve([topic, payload.toString('hex')])),
  );
  const sent = await asAdmin('POST', '/v1/messages', {
    topic: 'devices/d1/commands/reboot',
    payload: Buffer.from([1, 2, 255]).toString('base64'),
    encoding: 'base64',
    qos: 1,
  });
  t.is(sent.status, 200);
  t.deepEqual(await came, ['devices/d1/commands/reboot', '0102ff']);

  // A command with a reply: by correlation data, by topic only, or none in time.
  const v5 = await world.mqtt(await world.device('d5'), { clientId: 'd5', protocolVersion: 5 });
  await v5.subscribeAsync('devices/d5/commands/+', { qos: 1 });
  v5.on('message', (topic, payload, { properties = {} }) => {
    const { responseTopic = '', correlationData = Buffer.alloc(0) } = properties;
    const reply = (text: string, data: Buffer): void =>
      void v5.publish(responseTopic, text, { qos: 1, properties: { correlationData: data } });
    reply('of another command', Buffer.from('other'));
    reply(`${topic} ${payload.toString()}`, correlationData);
  });
  const command = (id: string, body: object): ReturnType<typeof asAdmin> =>
    asAdmin('POST', `/v1/devices/${id}/commands`, body);
  const replied = await command('d5', { name: 'echo', payload: 'hello' });
  t.like(replied.body, {
    topic: 'devices/d5/commands/echo',
    responseTopic: 'devices/d5/replies/echo',
    connected: true,
    matchedBy: 'correlation',
  });
  t.like(replied.body['reply'], {
    topic: 'devices/d5/replies/echo',
    payload: 'devices/d5/commands/echo hello',
    publisher: 'd5',
  });
  device.once('message', () => device.publish('devices/d1/replies', 'done', { qos: 1 }));
  const older = await command('d1', { name: 'stop' });
  t.like(older.body, { matchedBy: 'topic' });
  t.like(older.body['reply'], { topic: 'devices/d1/replies', payload: 'done' });
  const silent = await command('d1', { name: 'nothing', waitSeconds: 1 });
  t.like(silent.body, { reply: null, matchedBy: null, connected: true });
  t.is((await command('d1', { name: '+' })).body['code'], 'request-invalid');
  t.is((await command('nobody', { name: 'x' })).body['code'], 'device-not-found');
  const denied = await asAdmin('POST', '/v1/messages', { topic: 'other/x', payload: 'x' });
  t.is(denied.status, 403);
  t.is(denied.body['code'], 'message-denied');
  t.regex(
    String(denied.body['detail']),
    /no rule of role admin allows publish on other\/x; nearest/,
  );
  const own = await asAdmin('POST', '/v1/messages', { topic: '$SYS/x', payload: 'x' });
  t.is(own.body['code'], 'message-denied');
  const wild = await asAdmin('POST', '/v1/messages', { topic: 'devices/+', payload: 'x' });
  t.is(wild.body['code'], 'request-invalid');
  const large = { topic: 'devices/d1/commands/x', payload: 'x'.repeat(65 * 1024) };
  t.is((await asAdmin('POST', '/v1/messages', large)).status, 413);
  const actions = (await world.enroll.audit()).map(({ action }) => action);
  t.is(actions.filter((action) => action === 'message-published').length, 4);
  t.true(actions.includes('access-refused'));
});

test('retained messages are read by prefix, in pages, as text or base64', async (t) => {
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  await brokerName(world);
  const device = await world.mqtt(await world.device('d1'), { clientId: 'd1' });
  for (let at = 0; at < 5; at++) {
    await device.publishAsync(`devices/d1/state/${at}`, `v${at}`, { retain: true, qos: 1 });
  }
  await device.publishAsync('devices/d1/raw', Buffer.from([0xff, 0xfe]), { retain: true, qos: 1 });
  const topics: string[] = [];
  let after = '';
  do {
    const path = `/v1/messages/retained?prefix=devices/d1/st&limit=2${after}`;
    const page = retainedAnswerSchema.parse((await asAdmin('GET', path)).body);
    t.true(page.complete);
    topics.push(...page.messages.map(({ topic, payload }) => `${topic}=${payload}`));
    after = page.next === null ? '' : `&after=${encodeURIComponent(page.next)}`;
  } while (after !== '');
  t.deepEqual(
    topics,
    [0, 1, 2, 3, 4].map((at) => `devices/d1/state/${at}=v${at}`),
  );
  const raw = await asAdmin('GET', '/v1/messages/retained?prefix=devices/d1/raw');
  t.like(retainedAnswerSchema.parse(raw.body).messages[0], {
    payload: '//4=',
    encoding: 'base64',
    bytes: 2,
    retain: true,
    publisher: 'd1',
  });
  const none = await asAdmin('GET', '/v1/messages/retained?prefix=%23');
  t.deepEqual(none.body['messages'], []);
  const fleet = await asAdmin('GET', '/v1/messages/retained?prefix=$fleet/presence/');
  t.true(retainedAnswerSchema.parse(fleet.body).messages.length > 0);
});

test('an operator watches a topic; it ends after the number asked for', async (t) => {
  const world = await fleetWorld(t);
  await brokerName(world);
  const device = await world.mqtt(await world.device('d1'), { clientId: 'd1' });
  const { url, ca, admin } = world.enroll;
  const watch = (query: string) =>
    followEvents(t, { url: `${url}/v1/messages/tail?${query}`, ca, ...admin });
  const tail = await watch('filter=devices/d1/%23&max=3');
  const messages = (): { topic: string; payload: string }[] =>
    tail.events.flatMap(({ type, data }) =>
      type === 'messages' ? (data['messages'] as { topic: string; payload: string }[]) : [],
    );
  await until('the first message', async () => {
    await device.publishAsync('devices/d1/a', 'x', { qos: 1 });
    return messages().length > 0 || undefined;
  });
  await device.publishAsync('devices/d1/a', 'x', { qos: 1 });
  await device.publishAsync('devices/d1/a', 'x', { qos: 1 });
  await until('the end', () => tail.ended || undefined);
  t.is(messages().length, 3);
  t.like(messages()[0], { topic: 'devices/d1/a', payload: 'x' });
  const denied = await watch('filter=private/%23');
  const refusal = await denied.event('the refusal', ({ type }) => type === 'refused');
  t.is(refusal.data['code'], 'message-denied');
  await until('the end', () => denied.ended || undefined);
  t.is((await watch('filter=a/%23/b')).status, 200);
  t.is((await watch('filter=')).status, 400);
});

test('only the broker that was asked can answer, and only while somebody waits', async (t) => {
  const service = await enrollService(t);
  const broker = await followFeed(t, service, '', { 'flotilla-features': 'query' });
  const name = 'broker';
  const asked = service.asAdmin('GET', `/v1/brokers/${name}/connections`);
  const line = await broker.line('the question', ({ type }) => type === 'query');
  if (line.type !== 'query') throw new Error();
  t.like(line.query, { kind: 'connections', limit: 100 });
  const answer = async (body: object, as = service.broker) =>
    replyOf(await service.call({ method: 'POST', path: '/v1/feed/answer', ...as, body }));
  t.is((await answer({ id: line.id, done: true }, service.admin)).status, 403);
  const result = { connections: [], next: null };
  t.deepEqual((await answer({ id: line.id + 7, done: true, result })).body, { open: false });
  t.is((await answer({ id: line.id, done: true, result: { nonsense: 1 } })).status, 400);
  t.is((await asked).body['code'], 'request-invalid');
  const again = service.asAdmin('GET', `/v1/brokers/${name}/connections`);
  const second = await broker.line('2', (one) => one.type === 'query' && one.id > line.id);
  if (second.type !== 'query') throw new Error();
  t.deepEqual((await answer({ id: second.id, done: true, result })).body, { open: false });
  t.deepEqual((await again).body, result);
  const third = service.asAdmin('GET', `/v1/brokers/${name}/connections`);
  await broker.line('3', (one) => one.type === 'query' && one.id > second.id);
  broker.close();
  t.is((await third).body['code'], 'broker-not-connected');
});

test('a broker of an older version is not asked', async (t) => {
  const service = await enrollService(t);
  const broker = await followFeed(t, service);
  const { status, body } = await service.asAdmin('GET', '/v1/brokers/broker/connections');
  t.is(status, 503);
  t.is(body['code'], 'broker-not-connected');
  t.false(broker.lines.some(({ type }) => type === 'query'));
});
