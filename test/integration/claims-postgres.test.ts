/** Two brokers that share their claims in PostgreSQL: real connections, real session layers. */
import test, { type ExecutionContext } from 'ava';
import {
  hintChannel,
  OwnershipHints,
  parseOwnershipHint,
  type OwnershipHint,
} from '../../broker/cluster/ownership-hints.ts';
import { PostgresClaims } from '../../broker/cluster/postgres-claims.ts';
import type { SessionClaims } from '../../broker/contracts/session-claims.ts';
import { systemClock } from '../../core/clock.ts';
import { openClaimDatabase } from '../support/claim-database.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { startWorld, type World } from '../support/session-world.ts';
import { until } from '../support/until.ts';

const opened = await postgresServer();
test.after.always(() => opened?.close());

/** Brokers on one new database. Undefined without a server. */
async function brokers(t: ExecutionContext, count: number): Promise<World[] | undefined> {
  const server = skipsWithoutServer(t, opened);
  if (server === undefined) return undefined;
  const url = await server.database();
  const worlds: World[] = [];
  for (let n = 1; n <= count; n++) {
    const node = `broker-${n}`;
    const database = await openClaimDatabase(url, node);
    let own: SessionClaims | undefined;
    const claims = await PostgresClaims.join({
      clock: systemClock,
      database,
      node,
      local: { refusalOf: (request) => own?.refusalOf(request) },
      evict: (clientId) => world.layer.sessions.get(clientId)?.owner?.close('session-taken-over'),
      fenced() {
        for (const connection of world.layer.connections())
          connection.close('server-shutting-down');
      },
      failed: (error) => t.log(String(error)),
    });
    const world: World = await startWorld(t, {
      claims(local) {
        own = local;
        return claims;
      },
    });
    t.teardown(async () => {
      claims.close();
      await database.close();
    });
    worlds.push(world);
  }
  return worlds;
}

test('a session is taken over between brokers, and presence follows from the claims', async (t) => {
  const [one, two] = (await brokers(t, 2)) ?? [];
  if (one === undefined || two === undefined) return;
  const first = await one.connect({ version: 5, clientId: 'd/1', identity: 'd' });
  const second = await two.connect({ version: 5, clientId: 'd/1', identity: 'd' });
  t.is(second.connack?.reasonCode, 0);
  t.is((await first.next('disconnect')).reasonCode, 0x8e);
  const third = await one.connect({ version: 5, clientId: 'd/2', identity: 'd' });
  await third.disconnect();
  await until('it is released', () => one.count('still-online') >= 1);
  t.deepEqual(
    one.events.filter(({ kind, code }) => kind === 'offline' && code !== 'session-taken-over'),
    [],
  );
  await second.disconnect();
  await until('it is offline', () => two.count('offline') === 1);
  const again = await one.connect({ version: 5, clientId: 'd/1', identity: 'd' });
  t.is(again.connack?.reasonCode, 0);
  t.false(again.connack?.sessionPresent);
});

test('limits and foreign client ids hold over brokers', async (t) => {
  const [one, two] = (await brokers(t, 2)) ?? [];
  if (one === undefined || two === undefined) return;
  for (const { authorizer } of [one, two])
    authorizer.own = { ...authorizer.own, connectionsMax: 2 };
  const clients = await Promise.all(
    [one, two, one, two].map(async (world, n) => {
      const client = await world.raw('d');
      client.connect({ version: 5, clientId: `d/${n}` });
      return client;
    }),
  );
  const codes = await Promise.all(
    clients.map(async (client) => (await client.next('connack')).reasonCode),
  );
  t.deepEqual(codes.toSorted(), [0, 0, 0x97, 0x97]);
  const owner = await one.connect({ clientId: 'shared', identity: 'a' });
  const thief = await two.connect({ version: 5, clientId: 'shared', identity: 'b' });
  t.is(thief.connack?.reasonCode, 0x85);
  await owner.settle();
});

test('a kept session of a closed connection is claimed by another broker without a takeover', async (t) => {
  const [one, two] = (await brokers(t, 2)) ?? [];
  if (one === undefined || two === undefined) return;
  const kept = {
    version: 5,
    clientId: 'd',
    clean: false,
    properties: { sessionExpiryInterval: 1000 },
  } as const;
  const first = await one.connect(kept);
  await first.disconnect();
  await until('it is offline', () => one.count('offline') === 1);
  const second = await two.connect(kept);
  t.is(second.connack?.reasonCode, 0);
  const back = await one.connect(kept);
  t.is(back.connack?.reasonCode, 0);
  t.is((await second.next('disconnect')).reasonCode, 0x8e);
});

test('a hint arrives at the node that it is for, whatever the name of the node is', async (t) => {
  const server = skipsWithoutServer(t, opened);
  if (server === undefined) return;
  const url = await server.database();
  const names = ['broker-1', `"; DROP SCHEMA flotilla; -- ${'x'.repeat(100)}`];
  const [sender, other, receiver] = await Promise.all(
    ['sender', 'other', 'receiver'].map((name) => openClaimDatabase(url, name)),
  );
  t.teardown(async () => {
    for (const one of [sender, other, receiver]) await one?.close();
  });
  if (sender === undefined || other === undefined || receiver === undefined) return t.fail();
  const arrived: (OwnershipHint | undefined)[] = [];
  const [otherName = '', name = ''] = names;
  await other.listen(hintChannel(otherName), () => t.fail('the hint is for another node'));
  await receiver.listen(hintChannel(name), (text) => arrived.push(parseOwnershipHint(text)));
  const hints = new OwnershipHints(sender);
  hints.send(name, { client: 'a/"b"', epoch: 7 });
  hints.send(name, { client: 'c' });
  await until('both are there', () => arrived.length === 2);
  t.deepEqual(arrived, [{ client: 'a/"b"', epoch: 7 }, { client: 'c' }]);
});
