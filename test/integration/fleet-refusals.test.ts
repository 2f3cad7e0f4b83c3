/**
 * Invalid input at the ports of a real broker: each case has its own code, which is in the log, in the
 * audit log and in the metrics.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { JsonName } from '@peculiar/x509';
import { invisible } from '../../core/escape.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { identityFiles } from '../../core/state-folder.ts';
import type { AuditLine } from '../../enroll/audit/audit-event.ts';
import { auditFilePath } from '../../enroll/audit/audit-files.ts';
import { hostileCertificate } from '../support/broker-hostile-certificate.ts';
import { collect, connectPacket, ended, subscribe, untilClosed } from '../support/broker-world.ts';
import { flotilla } from '../support/cli.ts';
import { fleetWorld, type FleetWorld, type Shown } from '../support/fleet-world.ts';
import { testCa } from '../support/test-ca.ts';
import { until } from '../support/until.ts';

/** One invalid input: what the client does, from its own address, and the code of the refusal. */
interface BadInput {
  readonly what: string;
  readonly code: ErrorCode;
  readonly stage: 'handshake' | 'connect' | 'publish' | 'subscribe' | 'packet';
  /** The identity in the certificate, if one of our CAs issued it. */
  readonly id?: string;
  /** Must match the audit line. */
  readonly auditPattern?: RegExp;
  readonly act: (world: FleetWorld, from: string, t: ExecutionContext) => Promise<void>;
}

const metricOf = {
  handshake: 'flotilla_tls_handshakes_failed_total',
  connect: 'flotilla_connections_refused_total',
  publish: 'flotilla_policy_denied_total',
  subscribe: 'flotilla_policy_denied_total',
  packet: 'flotilla_connections_closed_total',
} as const;

const logOf = {
  handshake: 'TLS handshake failed',
  connect: 'connection refused',
  publish: 'denied by policy',
  subscribe: 'denied by policy',
  packet: 'packet rejected',
} as const;

/** Long enough for a busy machine. No result depends on it. */
const patienceMs = 60_000;

async function auditOf(world: FleetWorld, address: string, code: string): Promise<AuditLine> {
  return until(
    `${code} from ${address} in the audit log`,
    async () =>
      (await world.audit()).find(
        ({ remoteAddress, detail }) => remoteAddress === address && detail?.['code'] === code,
      ),
    patienceMs,
  );
}

/** The code must be in all three places, for this address only. */
async function isReported(
  t: ExecutionContext,
  world: FleetWorld,
  { code, stage, id, auditPattern }: BadInput,
  from: string,
): Promise<void> {
  const line = await auditOf(world, from, code);
  t.like(line, { action: 'access-refused', actor: 'broker', remoteAddress: from });
  t.is(line.device, id);
  t.like(line.detail, { code, stage });
  if (auditPattern !== undefined) t.regex(JSON.stringify(line.detail), auditPattern);
  const logged = world.capture.lines.filter(({ remoteAddress }) => remoteAddress === from);
  const reported = logged.filter(({ msg }) => msg === logOf[stage]);
  t.deepEqual(
    reported.map((one) => one['code']),
    reported.map(() => code),
    'no other code',
  );
  t.true(reported.length > 0, 'in the log');
  t.true((await world.metric(metricOf[stage], { reason: code })) > 0, 'in the metrics');
}

/** Sends a CONNECT after the TLS handshake, and expects no response. */
async function connectsAndSends(
  t: ExecutionContext,
  world: FleetWorld,
  shown: Shown | undefined,
  from: string,
): Promise<void> {
  await hasNoResponse(t, await world.tls(shown, from));
}

async function hasNoResponse(t: ExecutionContext, socket: TLSSocket): Promise<void> {
  socket.write(connectPacket('sensor'));
  t.is((await untilClosed(socket, patienceMs)).length, 0);
}

const named = (what: string, name: JsonName, code: ErrorCode, auditPattern: RegExp): BadInput => ({
  what,
  code,
  stage: 'connect',
  auditPattern,
  act: async (world, from, t) => {
    await connectsAndSends(t, world, await hostileCertificate(world, name), from);
  },
});

/** All of these are refused before MQTT. */
const beforeMqtt: readonly BadInput[] = [
  {
    what: 'no certificate',
    code: 'certificate-missing',
    stage: 'connect',
    act: (world, from, t) => connectsAndSends(t, world, undefined, from),
  },
  {
    what: 'a certificate of a foreign CA',
    code: 'certificate-untrusted',
    stage: 'connect',
    auditPattern: /claims foreign-1/,
    act: async (world, from, t) => {
      await world.device('foreign-1');
      const foreign = testCa('Foreign').issue({ profile: 'device', commonName: 'foreign-1' });
      await connectsAndSends(t, world, foreign, from);
    },
  },
  {
    what: 'an expired certificate',
    code: 'certificate-expired',
    stage: 'connect',
    id: 'expired-1',
    auditPattern: /"serial":"[0-9a-f]+"/,
    act: async (world, from, t) => {
      const shown = await world.device('expired-1', 'short');
      await until('it expires', () => Date.now() > new Date(endOf(shown)).getTime());
      await connectsAndSends(t, world, shown, from);
    },
  },
  {
    what: 'a server certificate used as a client',
    code: 'certificate-wrong-purpose',
    stage: 'connect',
    // The name in the server certificate.
    id: 'enrollment',
    act: async (world, from, t) => {
      const files = identityFiles(world.enroll.state.enroll.tls);
      const server = {
        cert: await readFile(files.chain, 'utf8'),
        key: await readFile(files.key, 'utf8'),
      };
      await connectsAndSends(t, world, server, from);
    },
  },
  named('a CN with a slash', [{ CN: ['a/b'] }], 'certificate-cn-invalid', /CN=a\/b/),
  named('a CN with a plus', [{ CN: ['a+b'] }], 'certificate-cn-invalid', /CN=a.*\+b/),
  named('a CN with a hash', [{ CN: ['a#'] }], 'certificate-cn-invalid', /CN=.*#/),
  named('a CN with a dollar', [{ CN: ['$SYS'] }], 'certificate-cn-invalid', /CN=\$SYS/),
  named('a CN with a NUL', [{ CN: ['admin\0.evil'] }], 'certificate-cn-invalid', /admin.*00.*evil/),
  named(
    'a CN with terminal control sequences',
    [{ CN: ['\u001b[2J\u202edm'] }],
    'certificate-cn-invalid',
    /"serial":"7a01/,
  ),
  named('no CN', [{ O: ['sensor-1'] }], 'certificate-cn-missing', /O=sensor-1/),
  named(
    'two CNs',
    [{ CN: ['sensor-1'] }, { CN: ['admin'] }],
    'certificate-cn-multiple',
    /admin.*sensor-1/,
  ),
  named(
    'two CNs in one name',
    [{ CN: ['sensor-1', 'admin'] }],
    'certificate-cn-multiple',
    /sensor-1.*admin/,
  ),
  {
    what: 'a certificate of our CA for an unregistered device',
    code: 'device-unknown',
    stage: 'connect',
    id: 'nobody',
    act: async (world, from, t) => {
      const stray = await hostileCertificate(world, [{ CN: ['nobody'] }]);
      await connectsAndSends(t, world, stray, from);
    },
  },
  {
    what: 'a certificate of our CA that the registry does not list for its device',
    code: 'certificate-unknown',
    stage: 'connect',
    id: 'listed-1',
    act: async (world, from, t) => {
      await world.device('listed-1');
      const stray = await hostileCertificate(world, [{ CN: ['listed-1'] }]);
      await connectsAndSends(t, world, stray, from);
    },
  },
  {
    what: 'a suspended device',
    code: 'device-suspended',
    stage: 'connect',
    id: 'suspended-1',
    act: async (world, from, t) => {
      const shown = await world.device('suspended-1');
      await world.enroll.asAdmin('POST', '/v1/devices/suspended-1/suspend', {});
      await world.inForce('suspended-1', ({ status }) => status === 'suspended');
      await connectsAndSends(t, world, shown, from);
    },
  },
  ...(['TLSv1.2', 'TLSv1.3'] as const).map((version): BadInput => {
    const id = `revoked-${version.at(-1) ?? ''}`;
    return {
      what: `a revoked serial on a resumed ${version} session`,
      code: 'certificate-revoked',
      stage: 'connect',
      id,
      auditPattern: /"serial":"[0-9a-f]+"/,
      act: async (world, from, t) => {
        const shown = await world.device(id);
        const range = { minVersion: version, maxVersion: version };
        const first = await world.tls(shown, '127.0.0.1', range);
        // With TLS 1.3 the ticket follows the handshake, with TLS 1.2 it is part of it.
        const session =
          version === 'TLSv1.3'
            ? await new Promise<Buffer>((resolve) => first.once('session', resolve))
            : first.getSession()!;
        first.destroy();
        await world.enroll.asAdmin('POST', `/v1/devices/${id}/revoke`, { reason: 'unspecified' });
        await world.inForce(id, ({ status }) => status === 'revoked');
        const resumed = await world.tls(shown, from, { ...range, session });
        t.true(resumed.isSessionReused());
        await hasNoResponse(t, resumed);
      },
    };
  }),
  {
    what: 'bytes that are not TLS',
    code: 'handshake-failed',
    stage: 'handshake',
    act: async (world, from) => {
      const { host, port } = world.broker.addresses.mqtts;
      const socket = connect({ host, port, localAddress: from });
      socket.on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(connectPacket('sensor'));
      socket.resume();
      await closed;
    },
  },
  {
    what: 'an unsupported ALPN protocol',
    code: 'alpn-unsupported',
    stage: 'handshake',
    act: async (world, from, t) => {
      await t.throwsAsync(world.tls(undefined, from, { ALPNProtocols: ['h2'] }));
    },
  },
];

/** An address that only one case uses. */
const addressOf = (group: number, at: number): string => `127.${group}.0.${at + 1}`;

test('refused connections have a code in log, audit and metrics, and no MQTT byte is read', async (t) => {
  const world = await fleetWorld(t, {
    config: { enroll: { renewGrace: '0ms', profiles: { short: { validity: '1s' } } } },
  });
  await Promise.all(
    beforeMqtt.map(async (input, at) => {
      const from = addressOf(10, at);
      await t.notThrowsAsync(async () => {
        await input.act(world, from, t);
        await isReported(t, world, input, from);
      }, input.what);
    }),
  );
  t.is(await world.metric('flotilla_received_bytes_total'), 0);
  t.false(world.capture.lines.some(({ msg }) => msg === 'connected'));
  const written = await readFile(auditFilePath(world.enroll.state.enroll.audit, 1), 'utf8');
  t.notRegex(written.replaceAll('\n', ''), invisible, 'no line contains control sequences');

  const { root } = world.enroll.state;
  const tail = await flotilla(['audit', 'tail', '--lines', '200', '--state', root]);
  t.is(tail.code, 0, tail.stderr);
  for (const { code } of beforeMqtt) t.true(tail.stdout.includes(`"code":"${code}"`), code);
  const verdict = await flotilla(['audit', 'verify', '--state', root]);
  t.is(verdict.code, 0, verdict.stderr);
});

const policy = `version: 1
roles:
  device:
    rules:
      - { allow: [publish, subscribe], topics: ['devices/{device}/#', 'site/{attr.site}/#'] }
  service:
    clientIds: prefix
    rules: [{ allow: subscribe, topics: ['devices/#', 'site/#', '$fleet/#'] }]
  broker: {}
`;

/** Sends an HTTP request to the WebSocket port and returns the response. */
async function overHttp(
  world: FleetWorld,
  shown: Shown,
  from: string,
  request: string,
): Promise<string> {
  const { port } = world.broker.addresses.wss;
  const socket = await world.tls(shown, from, { port });
  socket.write(`${request}\r\nHost: localhost\r\n\r\n`);
  return (await untilClosed(socket, patienceMs)).toString();
}

/** An admitted device that does something that is not allowed. */
const admittedDevice = (
  what: string,
  code: ErrorCode,
  stage: BadInput['stage'],
  auditPattern: RegExp,
  act: (
    world: FleetWorld,
    shown: Shown,
    from: string,
    id: string,
    t: ExecutionContext,
  ) => Promise<void>,
): BadInput => {
  const id = `in-${what.replaceAll(/[^a-z0-9]+/gi, '-')}`;
  return {
    what,
    code,
    stage,
    id,
    auditPattern,
    act: async (world, from, t) => act(world, await world.device(id), from, id, t),
  };
};

const inside: readonly BadInput[] = [
  admittedDevice(
    'client id of another device',
    'client-id-not-allowed',
    'connect',
    /victim-1/,
    async (world, shown, from, _id, t) => {
      const victim = await world.mqtt(await world.device('victim-1'), { clientId: 'victim-1' });
      await t.throwsAsync(world.mqtt(shown, { clientId: 'victim-1' }, from));
      t.true(victim.connected);
    },
  ),
  admittedDevice(
    'client id of 64 KB',
    'client-id-not-allowed',
    'connect',
    /client id/,
    async (world, shown, from, id, t) => {
      await t.throwsAsync(world.mqtt(shown, { clientId: id.padEnd(65_535, 'x') }, from));
    },
  ),
  admittedDevice(
    'will outside its topics',
    'publish-denied',
    'connect',
    /devices\/victim/,
    async (world, shown, from, id, t) => {
      const will = {
        topic: 'devices/victim/t',
        payload: Buffer.from('forged'),
        qos: 1 as const,
        retain: true,
      };
      await t.throwsAsync(world.mqtt(shown, { clientId: id, will }, from));
    },
  ),
  admittedDevice(
    'publish outside its topics',
    'publish-denied',
    'publish',
    /"topic":"devices\/victim\/t"/,
    async (world, shown, from, id) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      client.publish('devices/victim/t', 'forged');
      await ended(client);
    },
  ),
  admittedDevice(
    'publish to the system',
    'topic-reserved',
    'publish',
    /"topic":"\$fleet\/presence\/x"/,
    async (world, shown, from, id) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      client.publish('$fleet/presence/x', 'forged');
      await ended(client);
    },
  ),
  admittedDevice(
    'subscribe outside its topics',
    'subscribe-denied',
    'subscribe',
    /"topic":"devices\/#"/,
    async (world, shown, from, id, t) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      t.deepEqual(await subscribe(client, ['devices/#']), [128]);
      t.true(client.connected);
    },
  ),
  admittedDevice(
    'invalid filter',
    'topic-filter-invalid',
    'subscribe',
    /"topic":"a\/#\/b"/,
    async (world, shown, from, id, t) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      const suback = new Promise<number[]>((resolve) => {
        client.on('packetreceive', (packet) => {
          if (packet.cmd === 'suback') resolve(packet.granted as number[]);
        });
      });
      // MQTT.js would not send this SUBSCRIBE with packet identifier 7.
      const filter = Buffer.from('a/#/b');
      client.stream.write(
        Buffer.from([0x82, 5 + filter.length, 0, 7, 0, filter.length, ...filter, 0]),
      );
      t.deepEqual(await suback, [128]);
    },
  ),
  admittedDevice(
    '10000 filters in one SUBSCRIBE',
    'filters-too-many',
    'packet',
    /more than 100/,
    async (world, shown, from, id) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      const filters = Array.from({ length: 10_000 }, (_, n) => `devices/${id}/${n}`);
      client.subscribe(filters);
      await ended(client);
    },
  ),
  admittedDevice(
    'invalid packet',
    'packet-malformed',
    'packet',
    /MQTT-/,
    async (world, shown, from, id) => {
      const client = await world.mqtt(shown, { clientId: id }, from);
      client.stream.write(Buffer.from([0x36, 2, 0, 0]));
      await ended(client);
    },
  ),
  admittedDevice(
    'no CONNECT first',
    'protocol-error',
    'connect',
    /CONNECT/,
    async (world, shown, from) => {
      const socket = await world.tls(shown, from);
      socket.write(Buffer.from([0xc0, 0]));
      await untilClosed(socket, patienceMs);
    },
  ),
  admittedDevice(
    'HTTP without an upgrade',
    'websocket-invalid',
    'connect',
    /GET without an upgrade/,
    async (world, shown, from, _id, t) => {
      t.regex(await overHttp(world, shown, from, 'GET /mqtt HTTP/1.1'), /^HTTP\/1\.1 426/);
    },
  ),
  admittedDevice(
    'WebSocket without the subprotocol mqtt',
    'websocket-invalid',
    'connect',
    /subprotocol/,
    async (world, shown, from, _id, t) => {
      const request = 'GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade';
      t.regex(await overHttp(world, shown, from, request), /^HTTP\/1\.1 400/);
    },
  ),
  admittedDevice(
    'WebSocket without a key',
    'websocket-invalid',
    'connect',
    /Sec-WebSocket-Key/,
    async (world, shown, from, _id, t) => {
      const request =
        'GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt';
      t.regex(await overHttp(world, shown, from, request), /^HTTP\/1\.1 400/);
    },
  ),
  admittedDevice(
    'bytes that are not HTTP',
    'websocket-invalid',
    'connect',
    /HPE_/,
    async (world, shown, from, id) => {
      const { port } = world.broker.addresses.wss;
      const socket = await world.tls(shown, from, { port });
      socket.write(connectPacket(id));
      await untilClosed(socket, patienceMs);
    },
  ),
  ...['a/b', 'a+', 'a#'].map((site): BadInput => {
    const hostile = site.slice(1, 2);
    const name = hostile === '/' ? 'slash' : hostile === '+' ? 'plus' : 'hash';
    return admittedDevice(
      `attribute with a ${name}`,
      'subscribe-denied',
      'subscribe',
      /"topic":"site\//,
      async (world, shown, from, id, t) => {
        await world.enroll.asAdmin('PATCH', `/v1/devices/${id}`, { attributes: { site } });
        await world.inForce(id, ({ attributes }) => attributes['site'] === site);
        const client = await world.mqtt(shown, { clientId: id }, from);
        const filters = [`site/${site}/#`, 'site/a/#', 'site/#'].filter(
          (one) => !/[^/][+#]/.test(one),
        );
        t.deepEqual(
          await subscribe(client, filters),
          filters.map(() => 128),
        );
      },
    );
  }),
];

test('denied actions have a code in log, audit and metrics, and have no effect on other clients', async (t) => {
  const world = await fleetWorld(t, { policy });
  const backend = await world.mqtt(await world.backend('backend'), { clientId: 'backend' });
  const seen = collect(backend);
  await backend.subscribeAsync(['devices/#', 'site/#', '$fleet/presence/x'], { qos: 1 });
  const bystander = await world.mqtt(await world.device('bystander'), { clientId: 'bystander' });
  await Promise.all(
    inside.map(async (input, at) => {
      const from = addressOf(11, at);
      await t.notThrowsAsync(async () => {
        await input.act(world, from, t);
        await isReported(t, world, input, from);
      }, input.what);
    }),
  );
  await bystander.publishAsync('devices/bystander/t', 'good', { qos: 1 });
  await until('the last message', () => seen.includes('devices/bystander/t good'));
  t.deepEqual(seen, ['devices/bystander/t good'], 'no other message was delivered');
});

/** Sockets from one address that send these bytes of a handshake, or none. */
function idle(
  t: ExecutionContext,
  world: FleetWorld,
  from: string,
  count: number,
  says: Buffer,
): Socket[] {
  const { host, port } = world.broker.addresses.mqtts;
  const sockets = Array.from({ length: count }, () => {
    const socket = connect({ port, host, localAddress: from }, () => socket.write(says));
    return socket.on('error', () => undefined);
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  return sockets;
}

/** The number of refusals with this code in the audit log, and the number of their lines. */
async function sumOf(world: FleetWorld, code: string): Promise<{ count: number; lines: number }> {
  const lines = (await world.audit()).filter(({ detail }) => detail?.['code'] === code);
  const count = lines.reduce((sum, { detail }) => sum + Number(detail?.['count']), 0);
  return { count, lines: lines.length };
}

test('a thousand slow handshakes are closed, counted and summed in a few audit lines', async (t) => {
  const world = await fleetWorld(t, {
    config: { limits: { broker: { handshakeTimeoutMs: 3000 } } },
  });
  const shown = await world.device('sensor-1');
  const from = addressOf(12, 1);
  // Each sends half of a ClientHello: a record header that announces more bytes than follow.
  const sockets = idle(t, world, from, 1000, Buffer.from([22, 3, 1, 2, 0, 1]));
  const client = await world.mqtt(shown, { clientId: 'sensor-1' });
  t.true(client.connected, 'a device with another address can connect');
  await until('they are closed', () => sockets.every(({ destroyed }) => destroyed), patienceMs);
  const line = await auditOf(world, from, 'handshake-timeout');
  t.like(line, { action: 'access-refused', actor: 'broker' });
  t.is(line.device, undefined);
  const reason = 'handshake-timeout';
  const failed = 'flotilla_tls_handshakes_failed_total';
  t.is(await world.metric(failed, { reason }), 1000);
  t.is(await world.metric(failed, { reason: 'handshake-failed' }), 0, 'each is counted once');
  t.true(
    world.capture.lines.some((one) => one['code'] === reason && one['remoteAddress'] === from),
  );
  await world.broker.close();
  await world.enroll.service.close();
  const { count, lines } = await sumOf(world, reason);
  t.is(count, 1000);
  t.true(lines <= 4, `${lines} lines`);
});

test('half-open handshakes over the limit of an address are refused at once', async (t) => {
  const world = await fleetWorld(t, {
    config: { limits: { broker: { handshakesHalfOpenPerAddressMax: 20 } } },
  });
  const shown = await world.device('sensor-1');
  const from = addressOf(12, 2);
  const sockets = idle(t, world, from, 25, Buffer.alloc(0));
  await until('five are closed', () => sockets.filter(({ destroyed }) => destroyed).length === 5);
  const client = await world.mqtt(shown, { clientId: 'sensor-1' });
  t.true(client.connected, 'a device with another address can connect');
  const reason = 'handshakes-too-many';
  const line = await auditOf(world, from, reason);
  t.like(line, { action: 'access-refused', actor: 'broker' });
  t.is(await world.metric('flotilla_tls_handshakes_failed_total', { reason }), 5);
  t.true(
    world.capture.lines.some((one) => one['code'] === reason && one['remoteAddress'] === from),
  );
});

test('an admitted device that sends nothing is refused after the timeout, on both ports', async (t) => {
  const world = await fleetWorld(t, { config: { limits: { broker: { connectTimeoutMs: 500 } } } });
  const shown = await world.device('silent-1');
  const { mqtts, wss } = world.broker.addresses;
  for (const [at, { port }] of [mqtts, wss].entries()) {
    const from = addressOf(16, at);
    await untilClosed(await world.tls(shown, from, { port }), patienceMs);
    const line = await auditOf(world, from, 'connect-timeout');
    t.like(line, { action: 'access-refused', device: 'silent-1' });
    t.true(world.capture.lines.some(({ remoteAddress }) => remoteAddress === from));
  }
  const reason = 'connect-timeout';
  t.is(await world.metric('flotilla_connections_refused_total', { reason }), 2);
});

test('a device that is revoked between TLS and the WebSocket upgrade is refused', async (t) => {
  const world = await fleetWorld(t);
  const shown = await world.device('waits-1');
  const from = addressOf(17, 1);
  const { port } = world.broker.addresses.wss;
  const socket = await world.tls(shown, from, { port });
  await until(
    'the TLS handshake is complete',
    async () => (await world.metric('flotilla_tls_handshakes_total')) > 0,
  );
  await world.enroll.asAdmin('POST', '/v1/devices/waits-1/revoke', { reason: 'keyCompromise' });
  await world.inForce('waits-1', ({ status }) => status === 'revoked');
  const upgrade = [
    'GET /mqtt HTTP/1.1',
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Protocol: mqtt',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  socket.write(`${upgrade.join('\r\n')}\r\n\r\n`);
  await untilClosed(socket, patienceMs);
  const line = await auditOf(world, from, 'certificate-revoked');
  t.is(line.device, 'waits-1');
  t.is(await world.metric('flotilla_received_bytes_total'), 0);
});

test('connections over a limit have a code in log, audit and metrics', async (t) => {
  const world = await fleetWorld(t, {
    config: { limits: { broker: { connectionsMax: 3, connectsPerDevicePerMinuteMax: 2 } } },
  });
  const often = await world.device('often-1');
  const first = await world.mqtt(often, { clientId: 'often-1' });
  await first.endAsync();
  const second = await world.mqtt(often, { clientId: 'often-1' });
  await t.throwsAsync(world.mqtt(often, { clientId: 'often-1' }, addressOf(13, 1)));
  const flapping = await auditOf(world, addressOf(13, 1), 'device-flapping');
  t.is(flapping.device, 'often-1');
  for (const id of ['other-1', 'other-2']) {
    await world.mqtt(await world.device(id), { clientId: id });
  }
  const late = await world.device('late-1');
  await t.throwsAsync(world.mqtt(late, { clientId: 'late-1' }, addressOf(13, 2)));
  const full = await auditOf(world, addressOf(13, 2), 'connections-too-many');
  t.is(full.device, 'late-1');
  t.true(second.connected);
  for (const reason of ['device-flapping', 'connections-too-many']) {
    t.is(await world.metric('flotilla_connections_refused_total', { reason }), 1);
    t.true(world.capture.lines.some((line) => line['code'] === reason));
  }
});

const invalidPolicies: readonly [string, string, RegExp][] = [
  ['of 1 MB', `version: 1\n#${'x'.repeat(1024 * 1024)}\nroles: {}\n`, /maximum is 262144/],
  [
    'with circular inheritance',
    'version: 1\nroles:\n  device: { extends: [other] }\n  other: { extends: [device] }\n',
    /circular/,
  ],
  ['with a duplicate role', 'version: 1\nroles:\n  device: {}\n  device: {}\n', /line 4, column 3/],
  [
    'with an unknown variable',
    "version: 1\nroles:\n  device:\n    rules: [{ allow: publish, topics: ['a/{owner}'] }]\n",
    /\{owner\} is not known/,
  ],
];

test('an invalid policy file has a code in log, audit, metrics and status, and the previous policy stays in force', async (t) => {
  const world = await fleetWorld(t, { policy });
  const client = await world.mqtt(await world.device('sensor-1'), { clientId: 'sensor-1' });
  const { state } = world.enroll;
  for (const [at, [what, text, fault]] of invalidPolicies.entries()) {
    await writeFile(state.policy, text);
    await world.broker.reload();
    const logged = world.capture.lines.findLast(({ msg }) =>
      String(msg).startsWith('reload failed'),
    );
    t.like(logged, { what: 'policy', code: 'policy-invalid' }, what);
    t.regex(JSON.stringify(logged?.['err']), fault, what);
    t.is(await world.metric('flotilla_reload_failed'), 1);
    const labels = { what: 'policy', outcome: 'failed', reason: 'policy-invalid' };
    t.true((await world.metric('flotilla_reloads_total', labels)) > at);
    const status = await fetch(`${world.broker.addresses.metrics.url}/statusz`);
    t.is(status.status, 503);
    t.regex(await status.text(), /policy-invalid/);
    const line = await until('it is in the audit log', async () =>
      (await world.audit()).find(({ detail }) => fault.test(String(detail?.['detail']))),
    );
    t.like(line, { action: 'reload-refused', actor: 'broker' });
    t.like(line.detail, { code: 'policy-invalid', stage: 'reload' });
    t.deepEqual(
      await subscribe(client, ['devices/sensor-1/#', 'a/#']),
      [0, 128],
      'the previous policy',
    );
  }
  await writeFile(state.policy, policy);
  await world.broker.reload();
  t.is(await world.metric('flotilla_reload_failed'), 0);
});

test('refusals while the enrollment service is unavailable are in the audit log later', async (t) => {
  const world = await fleetWorld(t);
  await world.device('sensor-1');
  const { port } = new URL(world.enroll.url);
  await world.enroll.service.close();
  for (let n = 0; n < 3; n++) await connectsAndSends(t, world, undefined, addressOf(14, 1));
  await world.enroll.restart({ enroll: { port: Number(port) } });
  await auditOf(world, addressOf(14, 1), 'certificate-missing');
  // On a slow machine the refusals are in several batches, and the sums are written at the end.
  await world.broker.close();
  await world.enroll.service.close();
  t.is((await sumOf(world, 'certificate-missing')).count, 3);
});

test('a broker that stops reports the refusals of its last second', async (t) => {
  const world = await fleetWorld(t);
  await connectsAndSends(t, world, undefined, addressOf(15, 1));
  await world.broker.close();
  const found = (await world.audit()).filter(({ action }) => action === 'access-refused');
  t.is(found.length, 1);
});

function endOf({ cert }: Shown): string {
  return new X509Certificate(cert).validTo;
}
