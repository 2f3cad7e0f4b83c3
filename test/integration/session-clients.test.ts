/** Unchanged real clients over mutual TLS, with MQTT 3.1.1 and 5.0. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import mqtt from 'mqtt';
import { runChild, spawnChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { startWorld, type World } from '../support/session-world.ts';
import type { TestCa, TestIdentity } from '../support/test-ca.ts';
import { until } from '../support/until.ts';

interface TlsWorld {
  readonly session: World;
  readonly port: number;
  readonly ca: TestCa;
  readonly device: (id: string) => TestIdentity;
  /** The paths of the CA, the certificate and the key of a device. */
  readonly files: (id: string) => { ca: string; cert: string; key: string };
}

async function tlsWorld(t: ExecutionContext): Promise<TlsWorld> {
  const session = await startWorld(t);
  const { port, ca, device } = await session.tls();
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-session-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return {
    session,
    port,
    ca,
    device,
    files: (id) => {
      const own = device(id);
      const at = (name: string): string => join(folder, `${id}-${name}.pem`);
      writeFileSync(at('ca'), ca.ca);
      writeFileSync(at('cert'), own.cert);
      writeFileSync(at('key'), own.key);
      return { ca: at('ca'), cert: at('cert'), key: at('key') };
    },
  };
}

function mosquittoArgs(world: TlsWorld, id: string, version: string): string[] {
  const { ca, cert, key } = world.files(id);
  return [
    '-h',
    'localhost',
    '-p',
    String(world.port),
    '--cafile',
    ca,
    '--cert',
    cert,
    '--key',
    key,
    '-i',
    id,
    '-V',
    version,
  ];
}

for (const version of ['mqttv31', 'mqttv311', 'mqttv5'] as const) {
  test(`mosquitto_pub and mosquitto_sub, ${version}: each QoS, retained, will, kept session`, async (t) => {
    const sub = debianTool(t, 'mosquitto_sub');
    const pub = debianTool(t, 'mosquitto_pub');
    if (sub === undefined || pub === undefined) return;
    const world = await tlsWorld(t);
    const retained = await runChild(t, pub, [
      ...mosquittoArgs(world, 'pub-0', version),
      '-t',
      'm/kept',
      '-m',
      'kept',
      '-r',
      '-q',
      '1',
    ]);
    t.is(retained.code, 0, retained.stderr);
    const keep = version === 'mqttv5' ? ['-c', '-x', '100'] : ['-c'];
    const subArgs = [
      ...mosquittoArgs(world, 'sub', version),
      '-t',
      'm/#',
      '-q',
      '2',
      '-v',
      ...keep,
    ];
    const listener = spawnChild(t, sub, subArgs);
    await listener.line((line) => line === 'm/kept kept');
    for (const qos of ['0', '1', '2']) {
      const sent = await runChild(t, pub, [
        ...mosquittoArgs(world, `pub-${qos}`, version),
        '-t',
        `m/${qos}`,
        '-m',
        `at ${qos}`,
        '-q',
        qos,
      ]);
      t.is(sent.code, 0, sent.stderr);
      await listener.line((line) => line === `m/${qos} at ${qos}`);
    }
    await listener.stop('SIGKILL');
    await until('released', () => world.session.layer.connectionsOf('sub').length === 0);
    const away = await runChild(t, pub, [
      ...mosquittoArgs(world, 'pub-1', version),
      '-t',
      'm/away',
      '-m',
      'kept for you',
      '-q',
      '1',
    ]);
    t.is(away.code, 0, away.stderr);
    const back = spawnChild(t, sub, [...subArgs, '-R']);
    await back.line((line) => line === 'm/away kept for you');
    const dying = spawnChild(t, sub, [
      ...mosquittoArgs(world, 'dying', version),
      '-t',
      'x',
      '--will-topic',
      'm/will',
      '--will-payload',
      'gone',
      '--will-qos',
      '1',
    ]);
    await until('the connection', () =>
      world.session.layer.connectionsOf('dying').some((one) => one.clientId !== undefined),
    );
    await dying.stop('SIGKILL');
    await back.line((line) => line === 'm/will gone');
  });
}

const paho = String.raw`
import json, ssl, sys, threading, time
import paho.mqtt.client as mqtt
port, ca, cert, key, version = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
got = []
done = threading.Event()
connected = threading.Event()
subscribed = threading.Event()
client = mqtt.Client(client_id="paho", protocol=version, **({} if version == 5 else {"clean_session": True}))
client.tls_set(ca_certs=ca, certfile=cert, keyfile=key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
client.on_connect = lambda *args: connected.set()
client.on_subscribe = lambda *args: subscribed.set()
def on_message(c, userdata, m):
    got.append([m.topic, m.payload.decode(), m.qos, m.retain])
    if len(got) == 303: done.set()
client.on_message = on_message
client.connect("localhost", port, 30)
client.loop_start()
assert connected.wait(10)
client.subscribe("p/#", 2)
assert subscribed.wait(10)
for q in (0, 1, 2):
    properties = None
    if version == 5:
        from paho.mqtt.properties import Properties
        from paho.mqtt.packettypes import PacketTypes
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("key", "value")
        properties.MessageExpiryInterval = 100
    for n in range(101):
        info = client.publish("p/%d" % q, "%d" % n, q, properties=properties) if version == 5 else client.publish("p/%d" % q, "%d" % n, q)
    info.wait_for_publish()
assert done.wait(15), len(got)
client.disconnect()
client.loop_stop()
ordered = all([m[1] for m in got if m[0] == "p/%d" % q] == ["%d" % n for n in range(101)] for q in (0, 1, 2))
levels = all(m[2] == int(m[0][2]) for m in got)
print(json.dumps({"count": len(got), "ordered": ordered, "levels": levels}))
`;

for (const [name, version] of [
  ['3.1.1', '4'],
  ['5.0', '5'],
] as const) {
  test(`paho for Python, MQTT ${name}: 101 messages at each QoS, in order, at their QoS`, async (t) => {
    const python = debianTool(t, 'python3');
    if (python === undefined) return;
    const probe = await runChild(t, python, ['-c', 'import paho.mqtt.client']);
    if (probe.code !== 0) {
      t.is(process.env['FLOTILLA_TEST_NO_SKIP'], undefined, 'python3-paho-mqtt is not installed');
      t.log('skipped: python3-paho-mqtt is not installed');
      return;
    }
    const world = await tlsWorld(t);
    const { ca, cert, key } = world.files('paho');
    const ran = await runChild(t, python, ['-c', paho, String(world.port), ca, cert, key, version]);
    t.is(ran.code, 0, ran.stderr);
    t.deepEqual(JSON.parse(ran.stdout), { count: 303, ordered: true, levels: true });
  });
}

for (const protocolVersion of [4, 5] as const) {
  test(`MQTT.js, level ${protocolVersion}: each QoS, a will, a kept session over mutual TLS`, async (t) => {
    const world = await tlsWorld(t);
    const connect = (id: string, extra: object = {}): Promise<mqtt.MqttClient> => {
      const { key, cert } = world.device(id);
      return mqtt.connectAsync({
        protocol: 'mqtts',
        host: 'localhost',
        port: world.port,
        ca: world.ca.ca,
        key,
        cert,
        clientId: id,
        protocolVersion,
        reconnectPeriod: 0,
        ...extra,
      });
    };
    const kept = {
      clean: false,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 100 } } : {}),
    };
    const sub = await connect('sub', kept);
    const got: string[] = [];
    const listen = (client: mqtt.MqttClient): void =>
      void client.on('message', (topic, payload) => got.push(`${topic} ${String(payload)}`));
    listen(sub);
    await sub.subscribeAsync('j/#', { qos: 2 });
    const pub = await connect('pub', {
      will: { topic: 'j/will', payload: Buffer.from('gone'), qos: 1, retain: false },
    });
    for (const qos of [0, 1, 2] as const) await pub.publishAsync(`j/${qos}`, `at ${qos}`, { qos });
    await until('three messages', () => got.length === 3);
    await sub.endAsync();
    await pub.publishAsync('j/away', 'kept', { qos: 2 });
    const back = mqtt.connect({
      protocol: 'mqtts',
      host: 'localhost',
      port: world.port,
      ca: world.ca.ca,
      ...world.device('sub'),
      clientId: 'sub',
      protocolVersion,
      reconnectPeriod: 0,
      ...kept,
    });
    listen(back);
    await until('the queued message', () => got.includes('j/away kept'));
    pub.stream.destroy();
    await until('the will', () => got.includes('j/will gone'));
    await back.endAsync();
    t.deepEqual(got, ['j/0 at 0', 'j/1 at 1', 'j/2 at 2', 'j/away kept', 'j/will gone']);
  });
}

test('MQTT.js, level 5: request and response with correlation data, user properties, shared subscription', async (t) => {
  const world = await tlsWorld(t);
  const connect = (id: string): Promise<mqtt.MqttClient> =>
    mqtt.connectAsync({
      protocol: 'mqtts',
      host: 'localhost',
      port: world.port,
      ca: world.ca.ca,
      ...world.device(id),
      clientId: id,
      protocolVersion: 5,
      reconnectPeriod: 0,
    });
  const server = await connect('server');
  await server.subscribeAsync('$share/workers/request', { qos: 1 });
  server.on('message', (_topic, payload, packet) => {
    const { responseTopic = '', correlationData = Buffer.alloc(0) } = packet.properties ?? {};
    server.publish(responseTopic, `echo ${String(payload)}`, {
      qos: 1,
      properties: { correlationData },
    });
  });
  const client = await connect('client');
  await client.subscribeAsync('response/client', { qos: 1 });
  const answer = new Promise<string>((resolve) =>
    client.on('message', (_topic, payload, packet) =>
      resolve(`${String(payload)} ${String(packet.properties?.correlationData)}`),
    ),
  );
  await client.publishAsync('request', 'hello', {
    qos: 1,
    properties: {
      responseTopic: 'response/client',
      correlationData: Buffer.from('42'),
      userProperties: { a: '1' },
    },
  });
  t.is(await answer, 'echo hello 42');
  await client.endAsync();
  await server.endAsync();
});
