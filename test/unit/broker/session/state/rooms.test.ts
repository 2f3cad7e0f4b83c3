/** One client takes all it can get, at small limits; others go on, and everything is free again at the end. */
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../../../../core/config/config.ts';
import { BufferedBytes } from '../../../../../broker/session/state/rooms.ts';
import type { SharedRoom } from '../../../../../broker/store/shared-room.ts';
import { startWorld, type RawClient, type World } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

const quotaExceeded = 0x97;
type Limits = NonNullable<NonNullable<ConfigInput['limits']>['broker']>;

const worldOf = (t: ExecutionContext, broker: Limits): Promise<World> =>
  startWorld(t, { config: { limits: { broker } } });

const isFree = (room: SharedRoom): boolean => room.entries === 0 && room.bytes === 0;

test('one identity cannot take the room for stored sessions', async (t) => {
  const world = await worldOf(t, { sessionsTotalMax: 16 });
  const { sessions } = world.layer.context.rooms;
  const properties = { sessionExpiryInterval: 1000 };
  const open = (clientId: string): Promise<RawClient> =>
    world.connect({ version: 5, clientId, properties });
  const codes: (number | undefined)[] = [];
  for (let n = 0; n < 14; n++) codes.push((await open(`evil/${n}`)).connack?.reasonCode);
  t.deepEqual(codes, [...Array.from({ length: 12 }, () => 0), quotaExceeded, quotaExceeded]);
  t.is(world.count('refused', 'sessions-too-many'), 2);
  t.is((await open('good')).connack?.reasonCode, 0);
  t.is((await open('evil/3')).connack?.reasonCode, 0, 'an own session can be taken over');
  t.is((await world.connect({ version: 5, clientId: 'evil/x' })).connack?.reasonCode, 0);
  t.is(sessions.entries, 13);
  // An offline session of the same identity makes room.
  const other = await open('evil/4');
  await other.cut();
  await until('it is offline', () => world.layer.sessions.get('evil/4')?.owner === undefined);
  t.is((await open('evil/new')).connack?.reasonCode, 0);
  t.is(world.layer.sessions.get('evil/4'), undefined);
  await Promise.all([world.layer.forget('good'), world.layer.forget('evil')]);
  for (const connection of world.layer.connections()) connection.close('server-shutting-down');
  await until('all sessions ended', () => isFree(sessions));
  t.pass();
});

test('one identity cannot take the room for wills, and it is free when they are gone', async (t) => {
  const world = await worldOf(t, { willsTotalMaxBytes: 100_000, willsPerDeviceMaxBytes: 50_000 });
  const { wills } = world.layer.context.rooms;
  const will = { topic: 'w', payload: Buffer.alloc(10_000), properties: { willDelayInterval: 5 } };
  const open = (clientId: string): Promise<RawClient> =>
    world.connect({ version: 5, clientId, will, properties: { sessionExpiryInterval: 100 } });
  const evil: RawClient[] = [];
  for (let n = 0; n < 6; n++) evil.push(await open(`evil/${n}`));
  const codes = evil.map(({ connack }) => connack?.reasonCode);
  t.deepEqual(codes, [0, 0, 0, 0, quotaExceeded, quotaExceeded]);
  t.is((await open('evil/0')).connack?.reasonCode, 0, 'the will of a session is replaced');
  for (let n = 0; n < 4; n++) await open(`greedy-${n}`);
  t.is((await open('good')).connack?.reasonCode, 0);
  await evil[1]?.cut();
  await until('its will is delayed', () => world.layer.sessions.get('evil/1')?.cancelWill);
  t.is((await open('evil/6')).connack?.reasonCode, quotaExceeded, 'a delayed will counts');
  t.is((await open('evil/1')).connack?.reasonCode, 0, 'it is deleted when the session goes on');
  for (const id of ['evil', 'good', ...[0, 1, 2, 3].map((n) => `greedy-${n}`)]) {
    await world.layer.forget(id);
  }
  await until('no will is left', () => isFree(wills));
});

test('one identity cannot take the room for topic aliases and cached topics', async (t) => {
  const world = await worldOf(t, { topicsTotalMaxBytes: 40_000, topicsPerDeviceMaxBytes: 10_000 });
  const { topics } = world.layer.context.rooms;
  const evil = await world.connect({ version: 5, clientId: 'evil' });
  const good = await world.connect({ version: 5, clientId: 'good' });
  const publish = (client: RawClient, topicAlias: number): number =>
    client.publish(`${'t'.repeat(900)}${topicAlias}`, 'x', { properties: { topicAlias } });
  for (let alias = 1; alias <= 15; alias++) publish(evil, alias);
  await evil.end();
  t.is(evil.packets.find(({ cmd }) => cmd === 'disconnect')?.reasonCode, quotaExceeded);
  for (let alias = 1; alias <= 3; alias++) publish(good, alias);
  await good.settle();
  t.false(good.ended);
  t.true(topics.bytes > 0);
  await good.cut();
  await until('everything is free', () => isFree(topics));
});

test('one identity cannot take the room for QoS 2 messages that wait for PUBREL', async (t) => {
  const world = await worldOf(t, { unreleasedTotalMax: 16 });
  const { unreleased } = world.layer.context.rooms;
  const evil = await world.connect({ version: 5, clientId: 'evil' });
  const codes: number[] = [];
  for (let n = 0; n < 14; n++) {
    evil.publish('x', 'm', { qos: 2 });
    codes.push((await evil.next('pubrec')).reasonCode ?? 0);
  }
  t.deepEqual(codes, [...Array.from({ length: 12 }, () => 0), quotaExceeded, quotaExceeded]);
  const good = await world.connect({ version: 5, clientId: 'good' });
  const id = good.publish('x', 'm', { qos: 2 });
  t.is((await good.next('pubrec')).reasonCode ?? 0, 0);
  good.ack('pubrel', id);
  await good.next('pubcomp');
  t.is(unreleased.entries, 12);
  // MQTT 3.1.1 has no reason code: the connection closes.
  const old = await world.connect({ clientId: 'evil/old', identity: 'evil' });
  old.publish('x', 'm', { qos: 2 });
  await old.end();
  t.is(world.count('disconnected', 'memory-share-used'), 1);
  await evil.cut();
  await until('everything is free', () => isFree(unreleased));
});

test('packets that are never complete cannot take all the memory', async (t) => {
  const world = await worldOf(t, { inboundTotalMaxBytes: 400_000 });
  const { inbound } = world.layer.context.rooms;
  const evil: RawClient[] = [];
  // The header of a PUBLISH of 1,000,000 bytes, and the first 100,000 of them.
  const start = Buffer.concat([Buffer.from([0x30, 0xc0, 0x84, 0x3d]), Buffer.alloc(100_000)]);
  for (let n = 0; n < 6; n++) {
    const client = await world.connect({ version: 5, clientId: `evil/${n}`, identity: 'evil' });
    client.socket.write(start);
    evil.push(client);
  }
  await until('some are closed', () => evil.filter(({ ended }) => ended).length >= 3);
  t.true(inbound.bytes <= 400_000);
  const good = await world.connect({ version: 5, clientId: 'good' });
  good.publish('x', 'm'.repeat(10_000), { qos: 1 });
  t.is((await good.next('puback')).reasonCode ?? 0, 0);
  t.true(world.count('disconnected', 'memory-share-used') >= 3);
  for (const client of evil) if (!client.ended) await client.cut();
  await until('everything is free', () => inbound.bytes === 0);
});

test('the less is left for buffers of all connections, the less one may have', (t) => {
  const all = new BufferedBytes(1_600_000);
  t.is(all.shareOf(400_000), 400_000);
  all.bytes = 1_200_000;
  t.is(all.shareOf(400_000), 400_000);
  all.bytes = 1_280_000;
  t.is(all.shareOf(400_000), 20_000);
  all.bytes = 1_600_000;
  t.is(all.shareOf(400_000), 16_384, 'enough for small packets');
});
