/** Connections and sessions: how long they exist, what ends them, and how many one identity has. */
import test from 'ava';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { startWorld, TestAuthorizer, type RawClient } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('keep alive: any packet counts, and the timeout is 1.5 times the interval', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const client = await world.connect({ clientId: 'c', keepAlive: 10 });
  const none = await world.connect({ clientId: 'n', keepAlive: 0 });
  for (let n = 0; n < 5; n++) {
    clock.advance(9000);
    await client.settle();
  }
  clock.advance(14_400);
  t.is(world.count('disconnected'), 0);
  clock.advance(2000);
  t.is(world.count('disconnected', 'keep-alive-timeout'), 1);
  clock.advance(86_400_000);
  await none.settle();
});

test('after a pause of the process, what clients sent meanwhile is read before keep alive is judged', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const client = await world.connect({ clientId: 'c', keepAlive: 10 });
  const silent = await world.connect({ clientId: 'silent', keepAlive: 10 });
  clock.advance(5000);
  await client.settle();
  await silent.settle();
  clock.advance(9000);
  clock.pause(3_600_000);
  clock.advance(0);
  t.is(world.count('disconnected'), 0, 'the first check after the pause judges nobody');
  await client.settle();
  clock.advance(7000);
  t.is(world.count('disconnected', 'keep-alive-timeout'), 1, 'the silent one is closed in time');
  await client.settle();
});

test('after a pause of the process, a CONNECT that arrived meanwhile is read before it is judged', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const client = await world.raw('c');
  const silent = await world.raw('silent');
  await until('both are there', () => [...world.layer.connections()].length === 2);
  clock.advance(5000);
  clock.pause(3_600_000);
  client.connect({ clientId: 'c' });
  clock.advance(0);
  t.is(world.count('refused'), 0, 'the first check after the pause judges nobody');
  await until('it is connected', () => world.count('connected') === 1);
  clock.advance(6000);
  await until('the silent one is closed', () => silent.ended);
  t.is(world.count('refused', 'connect-timeout'), 1);
});

test('a takeover keeps the session, and of three takeovers at once one remains', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'c', clean: false });
  await first.subscribe('x', 1);
  const raced = await Promise.all(
    [1, 2, 3].map(() => world.connect({ clientId: 'c', clean: false })),
  );
  await first.end();
  await until('one remaining connection', () => raced.filter((one) => !one.ended).length === 1);
  const last = raced.find((one) => !one.ended)!;
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'm', { qos: 1 });
  t.is(String((await last.next('publish')).payload), 'm');
  t.is(world.layer.statistics().sessions, 2);
});

test('an identity with two connections is online until both are closed, and a takeover is reported', async (t) => {
  const world = await startWorld(t);
  const open = (clientId: string): Promise<RawClient> =>
    world.connect({ identity: 'd', clientId, clean: false });
  const replaced = await open('d/1');
  const first = await open('d/1');
  await replaced.end();
  const second = await open('d/2');
  // Its CONNECT is missing: it does not count.
  await world.raw('d');
  await first.disconnect();
  await until('the first is closed', () => world.count('disconnected') === 2);
  t.is(world.count('still-online'), 1);
  await second.cut();
  await until('both are closed', () => world.count('disconnected') === 3);
  t.is(world.count('offline', 'connection-lost'), 1);
  await open('d/1');
  t.is(world.count('connected'), 4);
  t.is(world.count('connected', 'session-taken-over'), 1);
});

test('a new Clean Session deletes the old session with its queue and subscriptions', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'c', clean: false });
  await first.subscribe('x', 1);
  await first.disconnect();
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  t.is(world.layer.statistics().queuedMessages, 1);
  const clean = await world.connect({ clientId: 'c', clean: true });
  t.false(clean.connack?.sessionPresent);
  const { queuedMessages, subscriptions } = world.layer.statistics();
  t.deepEqual([queuedMessages, subscriptions], [0, 0]);
});

test('a connection that is closed because of a revocation publishes no will; another closed one does', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('w', 0);
  const will = { topic: 'w', payload: Buffer.from('gone') };
  for (const [code, wills] of [
    ['device-revoked', 0],
    ['connection-too-old', 1],
  ] as const) {
    const client = await world.connect({ clientId: 'd', will, version: 5 });
    for (const connection of world.layer.connectionsOf('d')) connection.close(code);
    await client.end();
    t.is((await sub.received()).length, wills);
  }
});

test('forget deletes the sessions of an identity with their queues, subscriptions and wills', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'd', clean: false });
  await sub.subscribe('x', 1);
  await sub.disconnect();
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  await world.layer.forget('d');
  const { sessions, subscriptions, queuedMessages } = world.layer.statistics();
  t.deepEqual([sessions, subscriptions, queuedMessages], [0, 0, 0]);
});

test('connections of one identity are bounded by its limits', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, connectionsMax: 2 };
  const world = await startWorld(t, { authorizer });
  await world.connect({ identity: 'd', clientId: 'd/1' });
  await world.connect({ identity: 'd', clientId: 'd/2' });
  const third = await world.connect({ identity: 'd', clientId: 'd/3', version: 5 });
  t.is(third.connack?.reasonCode, 0x97);
  const same = await world.connect({ identity: 'd', clientId: 'd/2', version: 5 });
  t.is(same.connack?.reasonCode, 0);
});

test('the kept sessions of one identity are limited: the one that has been offline longest is deleted', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { sessionsPerDeviceMax: 3 } } },
  });
  const open = (n: number): Promise<RawClient> =>
    world.connect({ identity: 'd', clientId: `d/${n}`, clean: false });
  const connected = await open(0);
  for (let n = 1; n <= 2; n++) {
    const client = await open(n);
    await client.subscribe('x', 1);
    await client.disconnect();
  }
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  await (await open(1)).disconnect();
  await open(3);
  t.is(world.layer.statistics().sessions, 3);
  t.is(world.count('dropped', 'session-evicted'), 1);
  await connected.settle();
  t.true((await open(1)).connack?.sessionPresent);
  t.false((await open(2)).connack?.sessionPresent);
});
