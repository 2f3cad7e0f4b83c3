import test from 'ava';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { HandshakeGate, type GateLimits } from '../../../../broker/listeners/handshake-gate.ts';
import type { ExecutionContext } from 'ava';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

const usual: GateLimits = {
  handshakesRunningMax: 2,
  handshakesHalfOpenMax: 100,
  handshakesHalfOpenPerAddressMax: 100,
  handshakesPerSecondMax: 0,
  handshakesPerAddressPerSecondMax: 0,
  handshakeTimeoutMs: 5000,
};

interface Bench {
  /** The gate's: however long a machine takes over a test, no turn ends by itself. */
  readonly clock: FakeClock;
  readonly state: { busy: boolean };
  readonly gate: HandshakeGate;
  /** Sockets whose turn has come, in order, with what they had sent. */
  readonly begun: Socket[];
  readonly refused: string[];
  readonly client: (from?: string) => Promise<Socket>;
}

async function bench(t: ExecutionContext, limits: Partial<GateLimits> = {}): Promise<Bench> {
  const begun: Socket[] = [];
  const refused: string[] = [];
  const state = { busy: false };
  const clock = fakeClock();
  const gate = new HandshakeGate(
    { ...usual, ...limits },
    { clock, busy: () => state.busy, refused: (_address, code) => refused.push(code) },
  );
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    gate.offer(socket, () => begun.push(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const clients: Socket[] = [];
  t.teardown(() => {
    gate.close();
    for (const socket of [...clients, ...begun]) socket.destroy();
    server.close();
  });
  return {
    clock,
    state,
    gate,
    begun,
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

test('so many at a time, the next when one is finished, first bytes kept', async (t) => {
  const { gate, begun, client } = await bench(t);
  for (let n = 0; n < 4; n++) (await client()).write(`hello ${n}`);
  await until('two are begun and two wait', () => begun.length === 2 && gate.waiting === 2);
  t.is(gate.running, 2);
  gate.finished(begun[0]!);
  await until('the third', () => begun.length === 3);
  t.is(gate.waiting, 1);
  t.is(String(begun[2]!.read()), 'hello 2');
});

test('silent connections never take a turn, and are ended in time', async (t) => {
  const { clock, gate, begun, refused, client } = await bench(t, { handshakeTimeoutMs: 200 });
  const silent = await Promise.all(Array.from({ length: 20 }, () => client()));
  (await client()).write('hello');
  await until('the one that spoke', () => begun.length === 1 && gate.halfOpen === 21);
  clock.advance(199);
  t.deepEqual(refused, []);
  clock.advance(1);
  await until('the others are ended', () => refused.length === 20);
  t.true(refused.every((code) => code === 'handshake-timeout'));
  await until('all are closed', () => silent.every((socket) => socket.destroyed));
  await until('nothing is left but one', () => gate.halfOpen === 1);
  t.is(begun.length, 1);
});

test('a stalled handshake gives its turn back', async (t) => {
  const { clock, gate, begun, client } = await bench(t, { handshakesRunningMax: 1 });
  (await client()).write('stalls');
  (await client()).write('next');
  await until('the second waits', () => begun.length === 1 && gate.waiting === 1);
  clock.advance(100);
  t.is(begun.length, 2);
});

test('who gives up while waiting costs no handshake', async (t) => {
  const { gate, begun, client } = await bench(t, { handshakesRunningMax: 1 });
  (await client()).write('first');
  await until('the first', () => begun.length === 1);
  const impatient = await client();
  impatient.write('second');
  await until('it waits', () => gate.waiting === 1);
  impatient.end();
  await until('it is gone', () => gate.waiting === 0 && gate.abandoned === 1);
  (await client()).write('third');
  gate.finished(begun[0]!);
  await until('the third', () => begun.length === 2);
  t.is(String(begun[1]!.read()), 'third');
});

test('turns go round the addresses, so that one cannot take them all', async (t) => {
  const { gate, begun, client } = await bench(t, { handshakesRunningMax: 1 });
  for (let n = 0; n < 10; n++) (await client('127.0.0.1')).write('many');
  await until('they wait', () => gate.waiting === 9);
  (await client('127.0.0.2')).write('one');
  await until('it waits too', () => gate.waiting === 10);
  gate.finished(begun[0]!);
  await until('two more', () => begun.length >= 2);
  gate.finished(begun[1]!);
  await until('three', () => begun.length >= 3);
  t.true(begun.slice(0, 3).some(({ remoteAddress }) => remoteAddress === '127.0.0.2'));
});

test('too many are closed at once: in all, from one address, and by rate', async (t) => {
  const all = await bench(t, { handshakesHalfOpenMax: 3 });
  for (let n = 0; n < 5; n++) await all.client(`127.0.0.${n + 1}`);
  await until('two were refused', () => all.refused.length === 2);
  const one = await bench(t, { handshakesHalfOpenPerAddressMax: 3 });
  for (let n = 0; n < 5; n++) await one.client();
  await one.client('127.0.0.9');
  await until('two were refused', () => one.refused.length === 2);
  t.is(one.gate.halfOpen, 4);
  const rate = await bench(t, { handshakesPerAddressPerSecondMax: 2 });
  await Promise.all(Array.from({ length: 8 }, () => rate.client()));
  await until('the rest was refused', () => rate.refused.length >= 4);
  t.true(rate.refused.every((code) => code === 'handshakes-too-many'));
});

test('a rate over all lets the others wait, not fail', async (t) => {
  const { clock, gate, begun, refused, client } = await bench(t, {
    handshakesPerSecondMax: 3,
    handshakesRunningMax: 100,
  });
  for (let n = 0; n < 6; n++) (await client()).write('x');
  await until('three are begun', () => begun.length === 3 && gate.waiting === 3);
  clock.advance(1000);
  t.is(begun.length, 6, 'the others a second later');
  t.deepEqual(refused, []);
});

test('fewer at a time when the event loop is busy', async (t) => {
  const { gate, begun, client, state } = await bench(t, { handshakesRunningMax: 1000 });
  state.busy = true;
  for (let n = 0; n < 80; n++) (await client()).write('x');
  await until('those that may', () => begun.length === 64 && gate.waiting === 16);
  state.busy = false;
  gate.finished(begun[0]!);
  await until('all', () => begun.length === 80);
  t.is(gate.waiting, 0);
});
