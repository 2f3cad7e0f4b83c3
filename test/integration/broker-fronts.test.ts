/** A broker whose TLS runs in several threads. */
import { connect as connectTcp } from 'node:net';
import type { TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { IClientOptions, MqttClient } from 'mqtt';
import { openBroker } from '../../broker/broker.ts';
import { startBroker } from '../../broker/broker-service.ts';
import { FrontPorts } from '../../broker/fronts/front-ports.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig, type ConfigInput } from '../../core/config/config.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import {
  applied,
  brokerWorld,
  collect,
  connectPacket,
  untilClosed,
  writeIdentity,
  type BrokerWorld,
  type TestIdentity,
} from '../support/broker-world.ts';
import { until } from '../support/until.ts';

const policy = `version: 1
roles:
  device:
    clientIds: prefix
    rules: [{ allow: [publish, subscribe], topics: ['devices/#'] }]
    limits: { connectionsMax: 200 }
  service:
    clientIds: prefix
    rules: [{ allow: [publish, subscribe], topics: ['devices/#', '$fleet/#'] }]
`;

interface FrontWorld {
  readonly world: BrokerWorld;
  readonly ports: FrontPorts;
}

/** A broker with fronts whose ports the test can reach. */
async function frontWorld(t: ExecutionContext, config: ConfigInput = {}): Promise<FrontWorld> {
  const world = await brokerWorld(t, { policy });
  await world.broker.close();
  const lifecycle = new Lifecycle();
  const checked = checkConfig({
    ...config,
    broker: {
      mqttsPort: 0,
      wssPort: 0,
      metricsPort: 0,
      store: 'memory',
      fronts: 2,
      ...config.broker,
    },
  });
  const { state, capture, feed } = world;
  const running = await lifecycle.guard(() =>
    openBroker(
      checked,
      { state, log: capture.log, enrollUrl: feed.url, clock: systemClock, poisonsRings: true },
      lifecycle,
    ),
  );
  const { addresses, aedes, failed, ports } = running;
  world.broker = {
    addresses,
    aedes,
    failed,
    close: lifecycle.close,
    reload: () => running.reload(),
    copyStore: (path) => running.copyStore(path),
  };
  if (!(ports instanceof FrontPorts)) throw new Error('a broker without fronts');
  return { world, ports };
}

function wss({ ca }: BrokerWorld, { cert, key }: TestIdentity): IClientOptions {
  const tls = { ca: ca.ca, cert, key, servername: 'localhost' };
  return { protocol: 'wss', wsOptions: tls };
}

/** Connects devices until each front has some. */
async function clientsOnAllFronts(
  { world, ports }: FrontWorld,
  prefix: string,
  options: (id: string) => IClientOptions = () => ({}),
): Promise<MqttClient[]> {
  const identity = world.device(prefix);
  const clients: MqttClient[] = [];
  const total = ports.fronts.reduce((sum, { connections }) => sum + connections, 0);
  for (;;) {
    for (let n = 0; n < 4; n++) {
      const clientId = `${prefix}/${clients.length}`;
      clients.push(await world.mqtt(identity, { clientId, ...options(clientId) }));
    }
    await until('the fronts counted them', () => {
      return ports.fronts.reduce((sum, one) => sum + one.connections, 0) >= total + clients.length;
    });
    if (ports.fronts.every(({ connections }) => connections > 0)) return clients;
    if (clients.length >= 64) throw new Error('the kernel used one front only');
  }
}

/** The session of a connection that may be resumed. */
function sessionOf(socket: TLSSocket): Promise<Buffer> {
  return new Promise((resolve) => socket.once('session', resolve));
}

test.serial('clients of different fronts, on MQTT and WebSocket, reach each other', async (t) => {
  const fronts = await frontWorld(t);
  const { world } = fronts;
  const clients = await clientsOnAllFronts(fronts, 'pump-1');
  const browser = world.device('browser');
  clients.push(await world.mqtt(browser, { clientId: 'browser', ...wss(world, browser) }));
  const seen = clients.map((client) => collect(client));
  for (const client of clients) await client.subscribeAsync('devices/#', { qos: 2 });
  // The last one is larger than a frame, and is cut into several.
  const payloads = ['zero', 'one', 'x'.repeat(300_000)];
  for (const client of clients) {
    for (const [qos, payload] of payloads.entries()) {
      await client.publishAsync('devices/a', payload, { qos: qos === 0 ? 0 : qos === 1 ? 1 : 2 });
    }
  }
  await until('all received all', () =>
    seen.every((one) => one.length >= clients.length * payloads.length),
  );
  for (const one of seen) {
    t.is(one.length, clients.length * payloads.length);
    for (const payload of payloads) {
      t.is(one.filter((text) => text === `devices/a ${payload}`).length, clients.length);
    }
  }
  const status = await fetch(`${world.broker.addresses.metrics.url}/statusz`);
  t.regex(await status.text(), /2 of 2 run/);
});

test.serial('a front that ends takes only its connections, and is started again', async (t) => {
  const fronts = await frontWorld(t);
  const { world, ports } = fronts;
  const wills: string[] = [];
  world.broker.aedes.subscribe(
    'devices/+/+/will',
    ({ topic }, done) => {
      wills.push(topic);
      done();
    },
    () => undefined,
  );
  const clients = await clientsOnAllFronts(fronts, 'pump-2', (id) => ({
    will: { topic: `devices/${id}/will`, payload: Buffer.from('gone'), qos: 1, retain: false },
  }));
  await ports.terminate(0);
  await until('its clients are disconnected', () => clients.some(({ connected }) => !connected));
  await until('the front is started again', () => ports.frontRestarts === 1);
  const gone = clients.filter(({ connected }) => !connected);
  await until('their wills are published', () => wills.length >= gone.length);
  t.true(gone.length > 0 && gone.length < clients.length);
  t.is(wills.length, gone.length);
  for (const client of clients.filter(({ connected }) => connected)) {
    await client.publishAsync('devices/alive', 'x', { qos: 1 });
  }
  t.deepEqual(world.codes('a front ended'), ['front-ended']);
  await until('both listen', () => ports.frontsRunning === 2);
  await clientsOnAllFronts(fronts, 'pump-3');
});

test.serial('TLS sessions are resumed by every front, and by none after a reload', async (t) => {
  const { world } = await frontWorld(t);
  const identity = world.device('pump-4');
  const options = { maxVersion: 'TLSv1.3' } as const;
  const first = await world.tls(identity, options);
  const session = await sessionOf(first);
  for (let n = 0; n < 6; n++) {
    const socket = await world.tls(identity, { ...options, session });
    t.true(socket.isSessionReused());
  }
  const names = ['localhost', '127.0.0.1'];
  const renewed = world.ca.issue({ profile: 'broker', commonName: 'broker-1', names });
  writeIdentity(world.state.broker.identity, renewed, world.ca.ca);
  await world.broker.reload();
  await until('all fronts have the new certificate', async () => {
    const sockets = await Promise.all(Array.from({ length: 6 }, () => world.tls(identity)));
    return sockets.every(
      (socket) => socket.getPeerX509Certificate()?.serialNumber.toLowerCase() === renewed.serial,
    );
  });
  for (let n = 0; n < 6; n++) {
    const socket = await world.tls(identity, { ...options, session });
    t.false(socket.isSessionReused());
  }
});

test.serial('a client that does not read costs no other client a message', async (t) => {
  const fronts = await frontWorld(t);
  const { world } = fronts;
  const clients = await clientsOnAllFronts(fronts, 'pump-5');
  const [slow, publisher, ...others] = clients;
  if (slow === undefined || publisher === undefined) return t.fail();
  const seen = others.map((client) => collect(client));
  const late = collect(slow);
  for (const client of [slow, ...others]) await client.subscribeAsync('devices/big', { qos: 1 });
  slow.stream.pause();
  const count = 150;
  const payload = 'x'.repeat(40_000);
  for (let n = 0; n < count; n++) await publisher.publishAsync('devices/big', payload, { qos: 1 });
  await until('the others received all', () => seen.every((one) => one.length === count));
  slow.stream.resume();
  await until('the slow one received all', () => late.length === count);
  t.is(world.codes().filter((code) => code === 'outbound-too-slow').length, 0);
});

test.serial('limits of handshakes apply to all fronts together', async (t) => {
  const { world } = await frontWorld(t, {
    limits: { broker: { handshakesHalfOpenPerAddressMax: 3 } },
  });
  const { host, port } = world.broker.addresses.mqtts;
  const sockets = Array.from({ length: 8 }, () => connectTcp(port, host));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on('error', () => undefined);
  const refused = (): number => world.codes().filter((one) => one === 'handshakes-too-many').length;
  await until('five are refused', () => refused() >= 5);
  await until('five are closed', () => sockets.filter(({ destroyed }) => destroyed).length >= 5);
  t.is(refused(), 5);
});

test.serial(
  'a second broker on the same port is refused, although fronts share their port',
  async (t) => {
    const { world } = await frontWorld(t);
    const { mqtts } = world.broker.addresses;
    const config = checkConfig({
      broker: {
        mqttsPort: mqtts.port,
        wssPort: 0,
        metricsPort: 0,
        store: 'memory',
        fronts: 1,
      },
    });
    const { state, capture, feed } = world;
    const error: unknown = await startBroker(config, {
      state,
      log: capture.log,
      enrollUrl: feed.url,
    }).catch((failure: unknown) => failure);
    t.true(isFlotillaError(error, 'address-in-use'), String(error));
  },
);

for (const fronts of [0, 1]) {
  test.serial(`clients are refused with the same codes (${fronts} fronts)`, async (t) => {
    const world = await brokerWorld(t, { policy, config: { broker: { fronts } } });
    const revoked = world.device('revoked');
    world.mark('revoked', 'revoked');
    await until('the broker knows the directory', () => applied(world));
    const refusals: [TestIdentity | undefined, string][] = [
      [undefined, 'certificate-missing'],
      [world.ca.issue({ profile: 'device', commonName: 'unknown' }), 'device-unknown'],
      [world.device('suspended', { status: 'suspended' }), 'device-suspended'],
      [revoked, 'certificate-revoked'],
    ];
    for (const [identity, code] of refusals) {
      const before = world.codes('connection refused').length;
      // In TLS 1.3 the client may be connected before the broker refuses it.
      const socket = await world.tls(identity).catch(() => undefined);
      if (socket !== undefined) t.is((await untilClosed(socket)).length, 0);
      await until(code, () => world.codes('connection refused').length > before);
      t.is(world.codes('connection refused').at(-1), code);
    }
    const browser = world.device('browser');
    await t.throwsAsync(world.mqtt(browser, { clientId: 'other', ...wss(world, browser) }));
    await until('the client id is refused', () => world.codes().includes('client-id-not-allowed'));
  });
}

for (const fronts of [0, 1]) {
  for (const outboundPerConnectionMaxBytes of [16_384, 262_144]) {
    test.serial(
      `a client that never reads is closed at its limit of ${outboundPerConnectionMaxBytes} bytes, and others lose nothing (${fronts} fronts)`,
      async (t) => {
        const limits = { outboundPerConnectionMaxBytes, outboundStalledMaxMs: 1000 };
        const world = await brokerWorld(t, {
          policy,
          config: { broker: { fronts }, limits: { broker: limits } },
        });
        const identity = world.device('pump-6');
        const client = (name: string): Promise<MqttClient> =>
          world.mqtt(identity, { clientId: `pump-6/${name}` });
        const [healthy, publisher] = [await client('healthy'), await client('publisher')];
        const stalled = await world.tls(identity);
        stalled.on('error', () => undefined);
        stalled.write(connectPacket('pump-6/stalled'));
        let receivedBytes = 0;
        stalled.on('data', (chunk: Buffer) => (receivedBytes += chunk.length));
        stalled.write(
          Buffer.concat([Buffer.from([0x82, 16, 0, 1, 0, 11]), Buffer.from('devices/big\0')]),
        );
        await until('CONNACK and SUBACK', () => receivedBytes === 9);
        stalled.pause();
        const seen = collect(healthy);
        await healthy.subscribeAsync('devices/big', { qos: 1 });
        // More than the buffers of the kernel, until the broker closes the connection.
        const payload = 'x'.repeat(60_000);
        let count = 0;
        await until('the client that does not read is closed', async () => {
          const sent = Array.from({ length: 20 }, () =>
            publisher.publishAsync('devices/big', payload, { qos: 1 }),
          );
          count += (await Promise.all(sent)).length;
          // The publisher may be faster than a receiver with a small limit, whose queue has a limit as well.
          await until('the other one received all', () => seen.length === count);
          return world.codes().includes('outbound-too-slow');
        });
        t.is(world.codes().filter((code) => code === 'outbound-too-slow').length, 1);
      },
    );
  }
}
