/**
 * The TCP proxy with which tests and benchmarks make faults of the network.
 *
 * @module
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { clientProcess } from '../../../bench/network/client-process.ts';
import { TcpProxy } from '../../../bench/network/tcp-proxy.ts';
import { until } from '../../support/until.ts';

interface Recorded {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  closed: boolean;
}

function recorded(t: ExecutionContext, socket: Socket): Recorded {
  const one: Recorded = { socket, text: '', ended: false, closed: false };
  socket.on('data', (chunk: Buffer) => (one.text += chunk.toString()));
  socket.on('end', () => (one.ended = true));
  socket.on('close', () => (one.closed = true));
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  return one;
}

/** A server that records what it gets, and a proxy in front of it. */
async function world(t: ExecutionContext): Promise<{
  readonly proxy: TcpProxy;
  readonly accepted: readonly Recorded[];
  readonly client: () => Promise<Recorded>;
}> {
  const accepted: Recorded[] = [];
  const server = createServer((socket) => accepted.push(recorded(t, socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy = await TcpProxy.listen({ host: '127.0.0.1', port });
  t.teardown(() => {
    proxy.close();
    server.close();
  });
  return {
    ...{ proxy, accepted },
    async client() {
      const socket = connect(proxy.port, proxy.host);
      const one = recorded(t, socket);
      await once(socket, 'connect');
      return one;
    },
  };
}

test('bytes and ends pass in both directions', async (t) => {
  const { proxy, accepted, client } = await world(t);
  const one = await client();
  one.socket.write('question');
  await until('the question', () => accepted[0]?.text === 'question');
  t.is(proxy.path.connections, 1);
  accepted[0]?.socket.end('answer');
  await until('the end', () => one.closed && accepted[0]?.closed);
  t.is(one.text, 'answer');
  await until('no connection', () => proxy.path.connections === 0);
});

test('a black hole in one direction passes nothing there, and everything afterwards', async (t) => {
  const { proxy, accepted, client } = await world(t);
  const one = await client();
  one.socket.write('1');
  await until('the first', () => accepted[0]?.text === '1');
  proxy.path.blackHole('toServer');
  one.socket.write('2');
  accepted[0]?.socket.write('back');
  await until('the other direction', () => one.text === 'back');
  t.is(accepted[0]?.text, '1');
  proxy.path.pass();
  await until('the second', () => accepted[0]?.text === '12');
});

test('behind a black hole nobody learns of a closed connection, and a new one does not reach the server', async (t) => {
  const { proxy, accepted, client } = await world(t);
  const [left, stays] = [await client(), await client()];
  await until('both', () => accepted.length === 2);
  proxy.path.blackHole();
  left.socket.resetAndDestroy();
  const late = await client();
  late.socket.write('late');
  stays.socket.write('still');
  await until('the client has closed', () => left.closed);
  t.deepEqual(
    accepted.map(({ text, closed }) => [text, closed]),
    [
      ['', false],
      ['', false],
    ],
  );
  proxy.path.pass();
  await until('what waited', () => accepted.some(({ text }) => text === 'late'));
  await until('the close', () => accepted.filter(({ closed }) => closed).length === 1);
  await until('the other one', () => accepted.some(({ text }) => text === 'still'));
});

test('a delay counts for each direction and keeps the order', async (t) => {
  const { proxy, accepted, client } = await world(t);
  proxy.path.delay(40);
  const one = await client();
  const startMs = performance.now();
  for (const text of ['a', 'b', 'c']) one.socket.write(text);
  await until('the bytes', () => accepted[0]?.text === 'abc');
  accepted[0]?.socket.end('d');
  await until('the answer', () => one.closed);
  t.true(performance.now() - startMs >= 80);
  t.is(one.text, 'd');
});

test('a reset ends open connections, and a refusal new ones', async (t) => {
  const { proxy, accepted, client } = await world(t);
  const one = await client();
  await until('it is accepted', () => accepted.length === 1);
  proxy.path.refuse();
  const refused = recorded(t, connect(proxy.port, proxy.host));
  await until('the refused one is closed', () => refused.closed);
  one.socket.write('works');
  await until('the open one works', () => accepted[0]?.text === 'works');
  t.is(proxy.path.reset(), 1);
  await until('both ends', () => one.closed && accepted[0]?.closed);
  proxy.path.pass();
  const again = await client();
  again.socket.write('again');
  await until('a new one works', () => accepted[1]?.text === 'again');
});

test('a sender that is not passed on is not read without limit', async (t) => {
  const { proxy, accepted, client } = await world(t);
  const one = await client();
  await until('it is accepted', () => accepted.length === 1);
  proxy.path.blackHole('toServer');
  const text = 'x'.repeat(64 * 1024);
  let written = 0;
  while (written < 64 * 1024 * 1024 && one.socket.writableLength < 4 * 1024 * 1024) {
    one.socket.write(text);
    written += text.length;
    await new Promise(setImmediate);
  }
  t.true(written < 64 * 1024 * 1024);
  proxy.path.pass();
  await until('everything', () => accepted[0]?.text.length === written);
});

test('connections wait until the server is known', async (t) => {
  const { accepted, proxy: known } = await world(t);
  const proxy = await TcpProxy.listen();
  t.teardown(() => proxy.close());
  const one = recorded(t, connect(proxy.port, proxy.host));
  one.socket.write('early');
  await once(one.socket, 'connect');
  proxy.forwardTo({ host: known.host, port: known.port });
  await until('the bytes', () => accepted[0]?.text === 'early');
  t.is(accepted.length, 1);
});

test('the process that opened a connection is found', async (t) => {
  const found: (number | undefined)[] = [];
  const server = createServer((socket) => {
    recorded(t, socket);
    void clientProcess(socket, [1, process.pid]).then((pid) => found.push(pid));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  recorded(t, connect((server.address() as AddressInfo).port, '127.0.0.1'));
  await until('an answer', () => found.length === 1);
  t.deepEqual(found, [process.pid]);
});
