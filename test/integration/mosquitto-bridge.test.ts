/** A bridge of mosquitto with the configuration of docs/bridges.md, in both directions. */
import test, { type ExecutionContext } from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { brokerWorld, type BrokerWorld } from '../support/broker-world.ts';
import { spawnChild, type Child } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const backlog = 1000;
const payloads = Array.from({ length: backlog }, (_, n) => String(n));

/** The configuration in docs/bridges.md with the paths, ports and names of the test. */
function configuration(values: Readonly<Record<string, string>>): string {
  const page = readFileSync(new URL('../../docs/bridges.md', import.meta.url), 'utf8');
  const [, text = ''] = /```conf\n([^]*?)```/.exec(page) ?? [];
  return Object.entries(values).reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`docs/bridges.md does not contain ${from}`);
    return all.replaceAll(from, to);
  }, text);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Gateway {
  start(): Promise<Child>;
  /** Connects to mosquitto. */
  local(clientId: string): Promise<MqttClient>;
}

async function gateway(t: ExecutionContext, world: BrokerWorld, program: string): Promise<Gateway> {
  const folder = tempFolder(t);
  const identity = world.device('gw-1');
  writeFileSync(join(folder, 'key.pem'), identity.key, { mode: 0o600 });
  writeFileSync(join(folder, 'chain.pem'), identity.cert);
  writeFileSync(join(folder, 'ca.pem'), world.ca.ca);
  const port = await freePort();
  const text = configuration({
    'listener 1883': `listener ${port} 127.0.0.1\nallow_anonymous true\nuser ${userInfo().username}`,
    '/var/lib/mosquitto/': `${folder}/`,
    '/var/lib/flotilla-device/': `${folder}/`,
    'flotilla.example.com:8883': `localhost:${world.broker.addresses.mqtts.port}`,
  });
  const path = join(folder, 'mosquitto.conf');
  writeFileSync(path, `${text}\nrestart_timeout 1 2\nlog_dest stderr\nlog_type all\n`);
  return {
    async start() {
      const child = spawnChild(t, program, ['-c', path], { timeoutMs: 300_000 });
      await until('mosquitto', () =>
        connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 }, false).then(
          async (client) => {
            await client.endAsync();
            return true;
          },
          () => undefined,
        ),
      );
      return child;
    },
    local: (clientId) =>
      connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, clean: false, reconnectPeriod: 200 }),
  };
}

/** Collects the payloads of a topic filter. */
async function received(client: MqttClient, filter: string): Promise<string[]> {
  const found: string[] = [];
  client.on('message', (_topic, payload) => found.push(payload.toString()));
  await client.subscribeAsync(filter, { qos: 2 });
  return found;
}

async function publishAll(client: MqttClient, topic: string): Promise<void> {
  for (const payload of payloads) await client.publishAsync(topic, payload, { qos: 2 });
}

const bridged = (world: BrokerWorld): boolean =>
  world.capture.lines.some(({ msg, device }) => msg === 'connected' && device === 'gw-1');

test('a mosquitto bridge sends and receives a backlog of 1,000 messages at QoS 2 after restarts, each once', async (t) => {
  const mosquitto = debianTool(t, 'mosquitto');
  if (mosquitto === undefined) return;
  const world = await brokerWorld(t, { config: { broker: { store: 'durable' } } });
  const { port } = world.broker.addresses.mqtts;
  const restart = (): Promise<void> =>
    world.restart({ config: { broker: { store: 'durable', mqttsPort: port } } });
  const service = world.device('backend', { role: 'admin' });
  const gw = await gateway(t, world, mosquitto);
  let running = await gw.start();
  await until('the bridge is connected', () => bridged(world));

  // To the broker: the backlog waits on the gateway while the broker is down.
  const watcher = { clientId: 'backend', clean: false, reconnectPeriod: 200 };
  const before = await world.mqtt(service, watcher);
  await before.subscribeAsync('devices/gw-1/site/#', { qos: 2 });
  await before.endAsync();
  const local = await gw.local('local');
  await world.broker.close();
  await publishAll(local, 'site/up');
  await restart();
  const backend = await world.mqtt(service, watcher);
  const up = await received(backend, 'devices/gw-1/site/#');
  await until('the first of them', () => up.length > 100);
  await restart();
  await until('all messages of the gateway', () => new Set(up).size === backlog, 240_000);

  // To the gateway: the backlog waits in the broker while the gateway is down, over a restart of the broker.
  const down = await received(local, 'commands/#');
  await local.endAsync(true);
  await running.stop('SIGTERM');
  await publishAll(backend, 'devices/gw-1/commands/down');
  await backend.endAsync(true);
  await restart();
  running = await gw.start();
  local.reconnect();
  await until('all messages of the backend', () => new Set(down).size === backlog, 240_000);
  t.deepEqual(up, payloads);
  t.deepEqual(down, payloads);
  await local.endAsync(true);
  await running.stop('SIGTERM');
});
