/** The balancer of a cluster on one machine, with real sockets. @module */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { TcpBalancer, type InstanceAddress } from '../../../../cli/cluster/tcp-balancer.ts';
import { parseProxyHeader } from '../../../../core/proxy-header.ts';
import { until } from '../../../support/until.ts';

interface Target extends InstanceAddress {
  /** Its open connections. */
  readonly sockets: Set<Socket>;
}

/** A server that sends back what it receives. */
async function target(t: ExecutionContext): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  // A TCP server has this kind of address.
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, sockets };
}

async function balancer(
  t: ExecutionContext,
  sendsHeader = false,
): Promise<{ balancer: TcpBalancer; open: () => Promise<Socket> }> {
  const made = new TcpBalancer(sendsHeader);
  const port = await made.listen('127.0.0.1', 0);
  t.teardown(() => made.close());
  return {
    balancer: made,
    open: async () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      t.teardown(() => socket.destroy());
      await once(socket, 'connect');
      return socket;
    },
  };
}

const isClosed = (socket: Socket) => (): boolean => socket.closed;

test('new connections are distributed over all targets, and the one that has the fewest gets more', async (t) => {
  const [one, two] = [await target(t), await target(t)];
  const { balancer: under, open } = await balancer(t);
  under.route([one, two]);
  const clients = await Promise.all(Array.from({ length: 6 }, open));
  await until('each has three', () => one.sockets.size === 3 && two.sockets.size === 3);
  for (const socket of one.sockets) socket.destroy();
  await until(
    'their clients are closed',
    () => clients.filter(({ closed }) => closed).length === 3,
  );
  await Promise.all(Array.from({ length: 3 }, open));
  await until('it has as many again', () => one.sockets.size === 3);
  t.is(two.sockets.size, 3);
});

test('a target that is removed keeps its open connections, and gets no new ones', async (t) => {
  const [one, two] = [await target(t), await target(t)];
  const { balancer: under, open } = await balancer(t);
  under.route([one]);
  const client = await open();
  client.write('a');
  const [answer] = (await once(client, 'data')) as [Buffer];
  t.is(answer.toString(), 'a');
  under.route([two]);
  await open();
  await until('the next connection is at the other target', () => two.sockets.size === 1);
  t.is(one.sockets.size, 1);
  client.write('b');
  const [again] = (await once(client, 'data')) as [Buffer];
  t.is(again.toString(), 'b');
});

test('connections to a target that is left are closed, and no others', async (t) => {
  const [one, two] = [await target(t), await target(t)];
  const { balancer: under, open } = await balancer(t);
  under.route([one]);
  const first = await open();
  await until('it is connected', () => one.sockets.size === 1);
  under.route([two]);
  const second = await open();
  await until('it is connected', () => two.sockets.size === 1);
  under.leave(one);
  await until('the client is closed', isClosed(first));
  await until('the target closes it too', () => one.sockets.size === 0);
  t.is(two.sockets.size, 1);
  t.false(second.closed);
});

test('without a target, connections are closed', async (t) => {
  const { open } = await balancer(t);
  const client = await open();
  await until('it is closed', isClosed(client));
  t.pass();
});

test('the target learns the address of the client', async (t) => {
  const one = await target(t);
  const { balancer: under, open } = await balancer(t, true);
  under.route([one]);
  const client = await open();
  const [header] = (await once(client, 'data')) as [Buffer];
  const { localAddress: address, localPort: port } = client;
  t.like(parseProxyHeader(header), { kind: 'header', source: { address, port } });
});
