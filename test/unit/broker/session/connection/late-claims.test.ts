/** CONNECT while the claim of its client id has no answer yet: brokers that share their sessions decide together. */
import test, { type ExecutionContext } from 'ava';
import { generate } from 'mqtt-packet';
import { claimTimeoutMs } from '../../../../../broker/session/connection/connection-claims.ts';
import { systemClock } from '../../../../../core/clock.ts';
import { ClaimAuthority } from '../../../../support/claim-authority.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { startWorld, type World, type WorldOptions } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

interface LateWorld extends World {
  readonly authority: ClaimAuthority;
}

/** A broker whose claims are answered later. */
async function lateWorld(
  t: ExecutionContext,
  options: WorldOptions = {},
  authority = new ClaimAuthority(),
  name = 'broker-1',
): Promise<LateWorld> {
  const claims = authority.join(name, () => world.layer);
  const world: World = await startWorld(t, { ...options, claims });
  return Object.assign(world, { authority });
}

const waiting = (world: LateWorld, claims: number): Promise<true> =>
  until('claims wait', () => world.authority.held.length === claims || undefined);
const released = (world: LateWorld): Promise<true> =>
  until('everything is released', () => world.authority.owners.size === 0 || undefined);

test('CONNACK waits for the claim, and the packets behind CONNECT keep their order', async (t) => {
  const world = await lateWorld(t);
  const other = await world.connect({ clientId: 'other' });
  world.authority.holds = true;
  const client = await world.raw('c');
  client.socket.cork();
  client.connect({ version: 5, clientId: 'c' });
  const packets = [
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'x', qos: 1 }] },
    ...[1, 2, 3].map((n) => ({
      ...{ cmd: 'publish', topic: 'x', payload: String(n), qos: 1, messageId: n + 1 },
    })),
    { cmd: 'pingreq' },
  ] as Parameters<typeof generate>[0][];
  client.write(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: 5 }))));
  client.socket.uncork();
  await waiting(world, 1);
  await other.settle();
  t.is(client.bytes, 0);
  t.is(world.layer.sessions.get('c'), undefined);
  client.publish('x', '4');
  world.authority.answer();
  t.is((await client.next('connack')).reasonCode, 0);
  await client.next('pingresp');
  await until(
    'all arrived',
    () => client.packets.filter(({ cmd }) => cmd === 'publish').length === 4,
  );
  t.is(client.packets[0]?.cmd, 'suback');
  t.deepEqual(
    client.packets.filter(({ cmd }) => cmd === 'publish').map(({ payload }) => String(payload)),
    ['1', '2', '3', '4'],
  );
});

test('sessions, clean starts, wills and their delay work with late claims', async (t) => {
  const clock = fakeClock();
  const world = await lateWorld(t, { clock });
  const watcher = await world.connect({ clientId: 'watcher' });
  await watcher.subscribe('gone', 1);
  const kept = { version: 5, clientId: 'c', clean: false } as const;
  const properties = { sessionExpiryInterval: 100 };
  const will = {
    ...{ topic: 'gone', payload: Buffer.from('as sent'), qos: 1 as const },
    properties: { willDelayInterval: 10 },
  };
  const first = await world.connect({ ...kept, properties, will });
  t.false(first.connack?.sessionPresent);
  await first.subscribe('commands', 1);
  await first.cut();
  await until('it is offline', () => world.count('offline') === 1);
  clock.advance(9000);
  const second = await world.connect({ ...kept, properties, will });
  t.true(second.connack?.sessionPresent, 'the delay of its will is not over');
  await second.cut();
  await until('it is offline again', () => world.count('offline') === 2);
  t.deepEqual(await watcher.received(), []);
  clock.advance(10_000);
  t.is(String((await watcher.next('publish')).payload), 'as sent');
  const third = await world.connect({ ...kept, clean: true, properties });
  t.false(third.connack?.sessionPresent, 'a clean start');
  await third.cut();
  await until('it is offline', () => world.count('offline') === 3);
  t.not(world.authority.owners.get('c'), undefined, 'the session stays');
  clock.advance(100_000);
  t.is(world.layer.sessions.get('c'), undefined);
});

test('a live connection works until the claim of its successor is granted, and then gets 0x8E', async (t) => {
  const world = await lateWorld(t);
  const kept = { version: 5, clientId: 'c', clean: false } as const;
  const properties = { sessionExpiryInterval: 100 };
  const first = await world.connect({ ...kept, properties });
  await first.subscribe('x', 1);
  world.authority.holds = true;
  const second = await world.raw('c');
  second.connect({ ...kept, properties });
  await waiting(world, 1);
  first.publish('x', 'still here');
  t.is(String((await first.next('publish')).payload), 'still here');
  world.authority.answer();
  t.true((await second.next('connack')).sessionPresent);
  t.is((await first.next('disconnect')).reasonCode, 0x8e);
  world.authority.answer();
  await until('the former claim is released', () => world.authority.replaced === 1);
  t.is(world.count('offline'), 0);
});

test('a newer CONNECT of the same client id ends one that waits, and one connection remains', async (t) => {
  const world = await lateWorld(t);
  world.authority.holds = true;
  const older = [];
  for (const version of [5, 4] as const) {
    const client = await world.raw('c');
    client.connect({ version, clientId: 'c' });
    older.push(client);
    await waiting(world, older.length);
  }
  const newest = await world.raw('c');
  newest.connect({ version: 5, clientId: 'c' });
  await waiting(world, 3);
  t.is((await older[0]!.next('connack')).reasonCode, 0x80, 'CONNACK does not allow 0x8E');
  t.is((await older[1]!.next('connack')).returnCode, 3);
  for (const client of older) await client.end();
  t.is(world.count('refused', 'session-taken-over'), 2);
  world.authority.holds = false;
  world.authority.answer();
  t.is((await newest.next('connack')).reasonCode, 0);
  await newest.settle();
  await until('the older claims are released', () => world.authority.replaced === 2);
  t.is(world.authority.owners.size, 1);
  t.is(world.count('connected'), 1);
  t.is(world.layer.connectionsOf('c').length, 1);
  await newest.disconnect();
  await released(world);
});

test('another identity does not end the CONNECT that waits for a client id', async (t) => {
  const world = await lateWorld(t);
  world.authority.holds = true;
  const first = await world.raw('a');
  first.connect({ version: 5, clientId: 'shared' });
  await waiting(world, 1);
  const thief = await world.connect({ version: 5, clientId: 'shared', identity: 'b' });
  t.is(thief.connack?.reasonCode, 0x85);
  world.authority.holds = false;
  world.authority.answer();
  t.is((await first.next('connack')).reasonCode, 0);
  t.is(world.authority.owners.size, 1);
});

test('a claim that nobody waits for any more and is decided last leaves no connection, and presence says so', async (t) => {
  const world = await lateWorld(t);
  world.authority.holds = true;
  const older = await world.raw('c');
  older.connect({ version: 5, clientId: 'c' });
  await waiting(world, 1);
  const newer = await world.raw('c');
  newer.connect({ version: 5, clientId: 'c' });
  await waiting(world, 2);
  world.authority.held.reverse();
  world.authority.holds = false;
  world.authority.answer();
  await older.end();
  await newer.end();
  await released(world);
  await until('it is offline', () => world.count('offline', 'connection-lost') === 1);
  t.is(world.layer.sessions.size, 0);
});

test('a client that disconnects while it waits is accepted and closed, and its claim is released', async (t) => {
  const world = await lateWorld(t);
  const watcher = await world.connect({ clientId: 'watcher' });
  await watcher.subscribe('gone', 1);
  world.authority.holds = true;
  const client = await world.raw('c');
  client.connect({ clientId: 'c', will: { topic: 'gone', payload: Buffer.from('lost'), qos: 1 } });
  await waiting(world, 1);
  client.socket.destroy();
  world.authority.holds = false;
  world.authority.answer();
  t.is(String((await watcher.next('publish')).payload), 'lost');
  await watcher.disconnect();
  await released(world);
});

test('a connection that the broker closes while it waits leaves no session and no claim', async (t) => {
  const world = await lateWorld(t);
  world.authority.holds = true;
  const client = await world.raw('c');
  client.connect({ clientId: 'c' });
  await waiting(world, 1);
  for (const connection of world.layer.connectionsOf('c')) connection.close('device-revoked');
  await client.end();
  t.is(client.bytes, 0);
  world.authority.holds = false;
  world.authority.answer();
  await until('it was granted and released', () => world.authority.held.length === 0);
  await released(world);
  t.is(world.count('connected') + world.count('disconnected') + world.count('offline'), 0);
  t.is(world.layer.sessions.size, 0);
});

test('CONNECT is refused when its claim has no answer in time, and what is granted later is released', async (t) => {
  const clock = fakeClock();
  const limits = { broker: { connectTimeoutMs: claimTimeoutMs / 2 } };
  const world = await lateWorld(t, { clock, config: { limits } });
  world.authority.holds = true;
  const clients = [];
  for (const version of [5, 4] as const) {
    const client = await world.raw(`c${version}`);
    client.connect({ version, clientId: `c${version}` });
    clients.push(client);
    await waiting(world, clients.length);
  }
  clock.pause(60_000);
  clock.advance(claimTimeoutMs - 1000);
  t.is(world.count('refused'), 0, 'the process was paused, and CONNECT arrived in time');
  clock.advance(2000);
  t.is((await clients[0]!.next('connack')).reasonCode, 0x88);
  t.is((await clients[1]!.next('connack')).returnCode, 3);
  for (const client of clients) await client.end();
  t.is(world.count('refused', 'session-unavailable'), 2);
  world.authority.answer();
  await until('the claims are granted', () => world.authority.held.length === 2);
  world.authority.answer();
  await released(world);
  t.is(world.layer.sessions.size, 0);
});

test('a claim that fails is refused with 0x88', async (t) => {
  const world = await lateWorld(t);
  world.authority.failure = new Error('no connection to the other brokers');
  const client = await world.connect({ version: 5, clientId: 'c' });
  t.is(client.connack?.reasonCode, 0x88);
  const older = await world.connect({ version: 4, clientId: 'c' });
  t.is(older.connack?.returnCode, 3);
});

test('rights and rooms are checked again when the claim is granted', async (t) => {
  const world = await lateWorld(t);
  const kept = { version: 5, clientId: 'c', clean: false } as const;
  const properties = { sessionExpiryInterval: 100 };
  const first = await world.connect({ ...kept, properties });
  world.authority.holds = true;
  const client = await world.raw('c');
  client.connect({ ...kept, properties });
  await waiting(world, 1);
  world.authorizer.deny.connect = () => true;
  world.authority.holds = false;
  world.authority.answer();
  t.is((await client.next('connack')).reasonCode, 0x85);
  await first.next('disconnect');
  await until('presence is right', () => world.count('offline', 'connection-lost') === 1);
  t.is(world.authority.owners.get('c')?.open, undefined);
});

test('connections of an identity are counted over all brokers, also while claims wait', async (t) => {
  const authority = new ClaimAuthority();
  const one = await lateWorld(t, {}, authority, 'broker-1');
  const two = await lateWorld(t, {}, authority, 'broker-2');
  for (const { authorizer } of [one, two])
    authorizer.own = { ...authorizer.own, connectionsMax: 2 };
  authority.holds = true;
  const clients = [];
  for (const [world, clientId] of [
    [one, 'd/1'],
    [two, 'd/2'],
    [one, 'd/3'],
    [two, 'd/4'],
  ] as const) {
    const client = await world.raw('d');
    client.connect({ version: 5, clientId });
    clients.push(client);
    await waiting(one, clients.length);
  }
  authority.holds = false;
  authority.answer();
  const codes = [];
  for (const client of clients) codes.push((await client.next('connack')).reasonCode);
  t.deepEqual(codes, [0, 0, 0x97, 0x97]);
});

test('a connection at another broker is taken over, and decides whether the identity is online', async (t) => {
  const authority = new ClaimAuthority();
  const one = await lateWorld(t, {}, authority, 'broker-1');
  const two = await lateWorld(t, {}, authority, 'broker-2');
  const first = await one.connect({ version: 5, clientId: 'd/1', identity: 'd' });
  const second = await two.connect({ version: 5, clientId: 'd/1', identity: 'd' });
  t.is((await first.next('disconnect')).reasonCode, 0x8e);
  const third = await one.connect({ version: 5, clientId: 'd/2', identity: 'd' });
  await third.disconnect();
  await until('it is released', () => one.count('still-online') === 2);
  t.is(one.count('offline'), 0, 'it is connected to the other broker');
  await second.disconnect();
  await until('it is offline', () => two.count('offline') === 1);
  t.is(authority.owners.size, 0);
});

test('another identity does not take over a session at another broker', async (t) => {
  const authority = new ClaimAuthority();
  const one = await lateWorld(t, {}, authority, 'broker-1');
  const two = await lateWorld(t, {}, authority, 'broker-2');
  const owner = await one.connect({ clientId: 'shared', identity: 'a' });
  const thief = await two.connect({ version: 5, clientId: 'shared', identity: 'b' });
  t.is(thief.connack?.reasonCode, 0x85);
  await owner.settle();
});

test('an assigned client id that a session at another broker uses is refused', async (t) => {
  const authority = new ClaimAuthority();
  const one = await lateWorld(t, {}, authority, 'broker-1');
  const two = await lateWorld(t, {}, authority, 'broker-2');
  for (const { authorizer } of [one, two]) {
    authorizer.deny.connect = (_identity, clientId) => clientId.includes('/');
  }
  const first = await one.connect({ version: 5, clientId: '', identity: 'd' });
  t.is(first.connack?.properties?.['assignedClientIdentifier'], 'd');
  const second = await two.connect({ version: 5, clientId: '', identity: 'd' });
  t.is(second.connack?.reasonCode, 0x85);
  await first.settle();
});

test('a release whose answer is older than a new connection does not report the identity as offline', async (t) => {
  const world = await lateWorld(t);
  const first = await world.connect({ clientId: 'c' });
  world.authority.holds = true;
  await first.disconnect();
  await waiting(world, 1);
  const second = await world.raw('c');
  second.connect({ clientId: 'c' });
  await waiting(world, 2);
  world.authority.holds = false;
  const [release, claim] = world.authority.held.splice(0);
  // Both answers arrive in the same turn, that to the release last.
  const { promise, resolve } = Promise.withResolvers<undefined>();
  setImmediate(() => {
    claim!();
    resolve(undefined);
  });
  await promise;
  await second.next('connack');
  release!();
  await until('it is reported', () => world.count('still-online') === 1);
  t.is(world.count('offline'), 0);
});

test('the layer closes while claims wait', async (t) => {
  const world = await lateWorld(t, { clock: systemClock });
  world.authority.holds = true;
  const client = await world.raw('c');
  client.connect({ clientId: 'c' });
  await waiting(world, 1);
  await world.close();
  await client.end();
  world.authority.holds = false;
  world.authority.answer();
  await released(world);
  t.pass();
});
