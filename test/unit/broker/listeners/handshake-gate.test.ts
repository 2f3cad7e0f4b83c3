import test from 'ava';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { HandshakeGate } from '../../../../broker/listeners/handshake-gate.ts';
import { HandshakeQuota, type QuotaLimits } from '../../../../broker/listeners/handshake-quota.ts';
import type { ExecutionContext } from 'ava';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

const defaults: QuotaLimits = {
  handshakesRunningMax: 2,
  handshakesHalfOpenMax: 100,
  handshakesHalfOpenPerAddressMax: 100,
  handshakesPerSecondMax: 0,
  handshakesPerAddressPerSecondMax: 0,
};

interface Bench {
  /** The clock of the gate: no timer fires unless the test moves it, however slow the machine is. */
  readonly clock: FakeClock;
  readonly state: { busy: boolean };
  readonly gate: HandshakeGate;
  readonly quota: HandshakeQuota;
  /** Sockets whose handshake was started, in order, with the bytes that they sent. */
  readonly started: Socket[];
  readonly refused: string[];
  readonly client: (from?: string) => Promise<Socket>;
}

async function bench(
  t: ExecutionContext,
  limits: Partial<QuotaLimits> = {},
  handshakeTimeoutMs = 5000,
): Promise<Bench> {
  const started: Socket[] = [];
  const refused: string[] = [];
  const state = { busy: false };
  const clock = fakeClock();
  const quota = new HandshakeQuota({ ...defaults, ...limits }, { clock, load: state, threads: 1 });
  const gate = new HandshakeGate({
    clock,
    places: quota,
    handshakeTimeoutMs,
    events: { handshakeFailed: (_address, code) => refused.push(code) },
  });
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    gate.offer(socket, () => started.push(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const clients: Socket[] = [];
  t.teardown(() => {
    quota.close();
    gate.close();
    for (const socket of [...clients, ...started]) socket.destroy();
    server.close();
  });
  return {
    clock,
    state,
    gate,
    quota,
    started,
    refused,
    client: (from = '127.0.0.1') =>
      new Promise((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress: from });
        clients.push(socket);
        socket.on('error', reject);
        socket.once('connect', () => {
          socket.off('error', reject);
          socket.on('error', () => undefined);
          resolve(socket);
        });
      }),
  };
}

test('a limited number of handshakes runs at a time, and the first bytes are kept', async (t) => {
  const { gate, started, client, quota } = await bench(t);
  for (let n = 0; n < 4; n++) (await client()).write(`hello ${n}`);
  await until('two started and two waiting', () => started.length === 2 && quota.waiting === 2);
  t.is(quota.running, 2);
  gate.finished(started[0]!);
  await until('the third', () => started.length === 3);
  t.is(quota.waiting, 1);
  t.is(String(started[2]!.read()), 'hello 2');
});

test('silent connections never start a handshake and are closed after the timeout', async (t) => {
  const { clock, started, refused, client, quota } = await bench(t, {}, 200);
  const silent = await Promise.all(Array.from({ length: 20 }, () => client()));
  (await client()).write('hello');
  await until(
    'the connection that sent bytes',
    () => started.length === 1 && quota.halfOpen === 21,
  );
  clock.advance(199);
  t.deepEqual(refused, []);
  clock.advance(1);
  await until('the silent connections are refused', () => refused.length === 20);
  t.true(refused.every((code) => code === 'handshake-timeout'));
  await until('all are closed', () => silent.every((socket) => socket.destroyed));
  await until('one connection is left', () => quota.halfOpen === 1);
  t.is(started.length, 1);
});

test('a stalled handshake lets the next one start', async (t) => {
  const { clock, started, client, quota } = await bench(t, { handshakesRunningMax: 1 });
  (await client()).write('stalls');
  (await client()).write('next');
  await until('the second waits', () => started.length === 1 && quota.waiting === 1);
  clock.advance(100);
  t.is(started.length, 2);
});

test('a client that disconnects while it waits costs no handshake', async (t) => {
  const { gate, started, client, quota } = await bench(t, { handshakesRunningMax: 1 });
  (await client()).write('first');
  await until('the first', () => started.length === 1);
  const impatient = await client();
  impatient.write('second');
  await until('it waits', () => quota.waiting === 1);
  impatient.end();
  await until('it is removed', () => quota.waiting === 0 && quota.abandoned === 1);
  (await client()).write('third');
  gate.finished(started[0]!);
  await until('the third', () => started.length === 2);
  t.is(String(started[1]!.read()), 'third');
});

test('addresses take turns, so that one address cannot use all handshakes', async (t) => {
  const { gate, started, client, quota } = await bench(t, { handshakesRunningMax: 1 });
  for (let n = 0; n < 10; n++) (await client('127.0.0.1')).write('many');
  await until('the others wait', () => quota.waiting === 9);
  (await client('127.0.0.2')).write('one');
  await until('the other address waits', () => quota.waiting === 10);
  gate.finished(started[0]!);
  await until('two more', () => started.length >= 2);
  gate.finished(started[1]!);
  await until('three', () => started.length >= 3);
  t.true(started.slice(0, 3).some(({ remoteAddress }) => remoteAddress === '127.0.0.2'));
});

test('connections over a limit are closed at once: total, per address and per second', async (t) => {
  const all = await bench(t, { handshakesHalfOpenMax: 3 });
  for (let n = 0; n < 5; n++) await all.client(`127.0.0.${n + 1}`);
  await until('two were refused', () => all.refused.length === 2);
  const one = await bench(t, { handshakesHalfOpenPerAddressMax: 3 });
  for (let n = 0; n < 5; n++) await one.client();
  await one.client('127.0.0.9');
  await until('two were refused', () => one.refused.length === 2);
  t.is(one.quota.halfOpen, 4);
  const rate = await bench(t, { handshakesPerAddressPerSecondMax: 2 });
  await Promise.all(Array.from({ length: 8 }, () => rate.client()));
  await until('the others were refused', () => rate.refused.length >= 4);
  t.true(rate.refused.every((code) => code === 'handshakes-too-many'));
});

test('a few addresses with silent connections do not exclude others, nor an address that is known', async (t) => {
  const { client, refused, quota } = await bench(t, {
    handshakesHalfOpenMax: 40,
    handshakesHalfOpenPerAddressMax: 20,
  });
  quota.admitted('127.0.0.9');
  for (const from of ['127.0.0.1', '127.0.0.2']) {
    for (let n = 0; n < 20; n++) await client(from);
  }
  await until('the reserve is left', () => refused.length === 10 && quota.halfOpen === 30);
  for (let n = 3; n < 6; n++) await client(`127.0.0.${n}`);
  for (let n = 0; n < 5; n++) await client('127.0.0.9');
  await until('the others came', () => quota.halfOpen === 38);
  t.is(refused.length, 10);
});

test('when all places are taken, the address with the most of them loses silent connections', async (t) => {
  const { clock, client, refused, quota } = await bench(t, {
    handshakesHalfOpenMax: 10,
    handshakesHalfOpenPerAddressMax: 10,
  });
  quota.admitted('127.0.0.1');
  const silent: Socket[] = [];
  for (let n = 0; n < 10; n++) silent.push(await client('127.0.0.1'));
  await until('the table is full', () => quota.halfOpen === 10);
  for (let n = 2; n < 6; n++) (await client(`127.0.0.${n}`)).write('hello');
  await until('four made room', () => refused.length === 4 && quota.halfOpen === 10);
  await until('they are closed', () => silent.filter(({ destroyed }) => destroyed).length === 4);
  t.true(
    silent.slice(0, 4).every(({ destroyed }) => destroyed),
    'the oldest ones',
  );
  // A client behind the same address replaces one that has been silent for a while.
  clock.advance(1000);
  (await client('127.0.0.1')).write('hello');
  await until('one more made room', () => refused.length === 5 && quota.halfOpen === 10);
  await until('it is closed', () => silent.filter(({ destroyed }) => destroyed).length === 5);
});

test('after a pause of the process, a ClientHello that arrived meanwhile is read before it is judged', async (t) => {
  const { clock, started, refused, client, quota } = await bench(t);
  const slow = await client();
  await client();
  await until('both are there', () => quota.halfOpen === 2);
  clock.pause(60_000);
  slow.write('hello');
  clock.advance(0);
  await until('it was read', () => started.length === 1);
  t.deepEqual(refused, []);
  clock.advance(5000);
  t.deepEqual(refused, ['handshake-timeout'], 'the silent one');
});

test('while the event loop is busy, an unknown address runs few handshakes, and others are not delayed', async (t) => {
  const { gate, started, client, state, quota } = await bench(t, {
    handshakesRunningMax: 1000,
    handshakesHalfOpenMax: 1000,
    handshakesHalfOpenPerAddressMax: 1000,
  });
  state.busy = true;
  for (let n = 0; n < 20; n++) (await client('127.0.0.1')).write('x');
  await until('its part', () => started.length === 16 && quota.waiting === 4);
  (await client('127.0.0.2')).write('x');
  await until('the other one starts at once', () => started.length === 17);
  gate.finished(started[0]!);
  await until('the next one', () => started.length === 18);
  t.is(quota.waiting, 3);
});

test('an address may have only so many stalled handshakes, which could be completed in one turn; others are not delayed', async (t) => {
  const { clock, gate, started, refused, client, quota } = await bench(t, {
    handshakesRunningMax: 1000,
    handshakesHalfOpenMax: 1000,
    handshakesHalfOpenPerAddressMax: 1000,
  });
  for (let n = 0; n < 131; n++) (await client('127.0.0.1')).write('x');
  await until('its part', () => started.length === 128 && quota.waiting === 3);
  clock.advance(100);
  t.is(quota.running, 0, 'all of them have stalled');
  (await client('127.0.0.2')).write('x');
  await until('the other one starts at once', () => started.length === 129);
  gate.finished(started[0]!);
  await until('one more', () => started.length === 130);
  quota.admitted('127.0.0.1');
  gate.finished(started[1]!);
  await until('a known address has more', () => started.length === 132 && quota.waiting === 0);
  t.deepEqual(refused, []);
});

test('a total rate limit delays connections and does not refuse them', async (t) => {
  const { clock, started, refused, client, quota } = await bench(t, {
    handshakesPerSecondMax: 3,
    handshakesRunningMax: 100,
  });
  for (let n = 0; n < 6; n++) (await client()).write('x');
  await until('three started', () => started.length === 3 && quota.waiting === 3);
  clock.advance(1000);
  t.is(started.length, 6, 'the others start a second later');
  t.deepEqual(refused, []);
});

test('fewer handshakes run at a time when the event loop is busy', async (t) => {
  const { gate, started, client, state, quota } = await bench(t, {
    handshakesRunningMax: 1000,
    handshakesHalfOpenMax: 1000,
    handshakesHalfOpenPerAddressMax: 1000,
  });
  state.busy = true;
  quota.admitted('127.0.0.1');
  for (let n = 0; n < 80; n++) (await client()).write('x');
  await until('the allowed number', () => started.length === 64 && quota.waiting === 16);
  state.busy = false;
  gate.finished(started[0]!);
  await until('all', () => started.length === 80);
  t.is(quota.waiting, 0);
});
