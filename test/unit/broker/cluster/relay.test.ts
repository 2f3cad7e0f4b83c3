import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { relay } from '../../../../broker/cluster/relay.ts';
import type { Wire } from '../../../../broker/contracts/connection-wire.ts';
import { StreamWire } from '../../../../broker/listeners/stream-wire.ts';
import { systemClock, type Clock } from '../../../../core/clock.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { muxWorld, type MuxWorld, type WireUser } from '../../../support/mux-world.ts';
import { identityOf, RawClient, startWorld } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

interface RelayWorld {
  readonly mux: MuxWorld;
  /** Connects a device, and returns its socket. */
  readonly device: () => Promise<Socket>;
  /** The connections of the devices at the node that accepted them. */
  readonly accepted: Socket[];
}

async function relayWorld(
  t: ExecutionContext,
  options: { clock?: Clock; onStream?: (request: unknown, stream: Wire) => void } = {},
): Promise<RelayWorld> {
  const mux = muxWorld(options.onStream === undefined ? {} : { onStream: options.onStream });
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    relay(new StreamWire(socket), mux.near.open({ device: accepted.length }), {
      clock: options.clock ?? systemClock,
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  t.teardown(() => {
    server.close();
    mux.near.close();
    for (const socket of [...sockets, ...accepted]) socket.destroy();
  });
  return {
    ...{ mux, accepted },
    async device() {
      const socket = connectTcp(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => undefined);
      await new Promise((resolve) => void socket.once('connect', resolve));
      return socket;
    },
  };
}

async function farUser({ mux }: RelayWorld, n = 0): Promise<WireUser> {
  return await until('the stream is open', () => mux.opened[n]?.user);
}

/** Bytes whose order is visible. */
function pattern(size: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: size / 4 }, (_, n) => n).buffer);
}

test('bytes pass in both directions, and a device that closes has sent everything before', async (t) => {
  const world = await relayWorld(t);
  const device = await world.device();
  device.write('from the device');
  const far = await farUser(world);
  await until('it arrived', () => far.text === 'from the device');
  let seen = '';
  device.on('data', (chunk: Buffer) => void (seen += chunk.toString()));
  far.send('to the device');
  await until('it arrived', () => seen === 'to the device');
  device.end(', its last words');
  await until('the stream is closed', () => far.closed === 1);
  t.is(far.text, 'from the device, its last words');
  await until('all is closed', () => device.destroyed && world.mux.near.streams === 0);
});

test('the other node ends a connection after its last bytes, and closes one at once', async (t) => {
  const world = await relayWorld(t);
  const device = await world.device();
  const bytes = pattern(4_000_000);
  const chunks: Buffer[] = [];
  device.on('data', (chunk: Buffer) => void chunks.push(chunk));
  const far = await farUser(world);
  far.send(bytes);
  far.wire.end();
  await until('the device is closed', () => device.destroyed);
  t.true(Buffer.concat(chunks).equals(bytes));
  await until('the stream is closed', () => far.closed === 1);

  const second = await world.device();
  second.resume();
  const other = await farUser(world, 1);
  other.wire.destroy();
  await until('the device is closed', () => second.destroyed && other.closed === 1);
});

test('a slow device stops the other node, a slow node stops the device, and nothing is lost', async (t) => {
  const world = await relayWorld(t);
  const device = await world.device();
  const far = await farUser(world);
  const bytes = pattern(30_000_000);
  let left = 0;
  const pump = (): void => {
    while (left < bytes.length && far.wire.accepts(1)) {
      far.send(bytes.subarray(left, left + 50_000));
      left += 50_000;
    }
  };
  far.onRoom = pump;
  far.wire.pause();
  pump();
  device.write(bytes);
  await until('the device and the node are stopped', () => {
    return world.accepted[0]!.writableNeedDrain && !far.wire.accepts(1);
  });
  t.true(left < 20_000_000, `${left} were accepted`);
  t.true(world.accepted[0]!.writableLength < 1_000_000);
  t.is(far.bytes, 0);
  const chunks: Buffer[] = [];
  let seenBytes = 0;
  device.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    seenBytes += chunk.length;
  });
  far.wire.resume();
  await until('all arrived', () => far.bytes === bytes.length && seenBytes === bytes.length);
  t.true(Buffer.concat(chunks).equals(bytes));
  t.true(Buffer.concat(far.chunks).equals(bytes));
});

test('a device that does not read is closed, also when the other node has ended the connection before', async (t) => {
  const clock = fakeClock();
  const world = await relayWorld(t, { clock });
  const device = await world.device();
  device.pause();
  const far = await farUser(world);
  const fill = (): void => {
    while (far.wire.isOpen && far.wire.accepts(1)) far.send(Buffer.alloc(50_000));
  };
  far.onRoom = fill;
  fill();
  await until('the relay is full', () => world.accepted[0]!.writableNeedDrain);
  far.wire.end();
  await until('it is closed', () => {
    clock.advance(1000);
    return far.closed === 1 && world.accepted[0]!.destroyed;
  });
  await until('no timer is left', () => clock.pending === 0);
  t.is(world.mux.near.streams, 0);
});

test('when the connection between the nodes is lost, the devices are closed', async (t) => {
  const world = await relayWorld(t);
  const devices = [await world.device(), await world.device()];
  for (const device of devices) device.resume();
  await farUser(world, 1);
  world.mux.farEnd.destroy();
  await until('both are closed', () => devices.every(({ destroyed }) => destroyed));
  t.true(world.mux.opened.every(({ user }) => user.closed === 1));
});

test('an end that is still open five seconds after the other one is closed', async (t) => {
  const clock = fakeClock();
  const world = await relayWorld(t, { clock });
  const device = await world.device();
  device.allowHalfOpen = true;
  const far = await farUser(world);
  world.mux.nearEnd.stalled = true;
  device.destroy();
  await until('the device is gone', () => world.accepted[0]!.destroyed);
  await until('the stream is ended', () => clock.pending > 0);
  clock.advance(4999);
  t.is(clock.pending, 1);
  clock.advance(1);
  t.is(clock.pending, 0);
  world.mux.nearEnd.release();
  await until('the stream is closed', () => far.closed === 1);
});

test('a device uses a session of another node', async (t) => {
  const sessions = await startWorld(t);
  const world = await relayWorld(t, {
    onStream: (_request, stream) => void sessions.layer.accept(stream, identityOf('device-1')),
  });
  const client = new RawClient(await world.device());
  client.connect({ clientId: 'device-1' });
  t.is((await client.next('connack')).returnCode, 0);
  await client.subscribe('fleet/#', 1);
  const local = await sessions.connect({ clientId: 'device-2' });
  for (let n = 0; n < 16; n++) {
    local.publish('fleet/a', 'x'.repeat(100_000), { qos: 1 });
  }
  await until('all arrived', () => client.bytes > 1_600_000);
  const second = await sessions.connect({ clientId: 'device-1' });
  await client.end();
  t.false(second.ended);
  await until('the stream is gone', () => world.mux.near.streams === 0);
});
