/** The program of examples/plug-in, which runs the broker in its own process. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { z } from 'zod';
import { spawnNode } from '../support/child.ts';
import { connectWith } from '../support/cli-client.ts';
import { flotilla, flotillaPath } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const enrollReady = z.object({ https: z.object({ url: z.string() }) });
const brokerReady = z.object({ mqtts: z.object({ host: z.string(), port: z.int() }) });

test('the plug-in accepts only JSON as telemetry, removes a field, and stops cleanly', async (t) => {
  const folder = tempFolder(t);
  const [there, here] = [join(folder, 'enroll-machine'), join(folder, 'broker-machine')];
  const service = spawnNode(
    t,
    [flotillaPath, 'enroll', 'serve', '--state', there, '--https-port', '0', '--json'],
    { timeoutMs: 200_000 },
  );
  const { https } = enrollReady.parse(JSON.parse(await service.line(() => true, 60_000)));
  mkdirSync(join(here, 'broker'), { recursive: true });
  const made = async (...args: string[]): Promise<void> => {
    const done = await flotilla([...args, '--state', there, '--json']);
    t.is(done.code, 0, done.stderr);
  };
  await made(
    ...['service', 'create', '--name', 'broker-1', '--role', 'broker'],
    ...['--names', 'localhost', '127.0.0.1', '--out', join(here, 'broker', 'identity')],
  );
  const [device, backend] = [join(folder, 'sensor-1'), join(folder, 'backend')];
  await made('device', 'enroll', '--id', 'sensor-1', '--out', device);
  await made('service', 'create', '--name', 'backend', '--role', 'service', '--out', backend);

  // As a user has it: a copy, with the package beside it. The package is this checkout.
  const program = join(folder, 'plug-in');
  cpSync('examples/plug-in', program, { recursive: true });
  const packaged = join(program, 'node_modules', 'flotilla');
  mkdirSync(packaged, { recursive: true });
  writeFileSync(
    join(packaged, 'package.json'),
    JSON.stringify({ name: 'flotilla', type: 'module', exports: { './broker': './broker.js' } }),
  );
  const entry = pathToFileURL(resolve('embed/broker-entry.ts')).href;
  writeFileSync(join(packaged, 'broker.js'), `export * from '${entry}';\n`);
  const running = spawnNode(t, [join(program, 'broker.mjs')], {
    env: {
      FLOTILLA_STATE: here,
      ENROLL_URL: https.url,
      FLOTILLA_BROKER__MQTTS_PORT: '0',
      FLOTILLA_BROKER__WSS_PORT: '0',
      FLOTILLA_BROKER__METRICS_PORT: '0',
    },
    timeoutMs: 200_000,
  });
  const { mqtts: address } = brokerReady.parse(JSON.parse(await running.line(() => true, 60_000)));

  const received: string[] = [];
  const onMessage = (topic: string, payload: string): number =>
    received.push(`${topic} ${payload}`);
  const watcher = await connectWith(t, { id: 'backend', folder: backend, address, onMessage });
  await watcher.subscribeAsync('devices/#', { qos: 1 });
  const client = await connectWith(t, { id: 'sensor-1', folder: device, address });
  const topic = 'devices/sensor-1/telemetry';
  const refused = await t.throwsAsync(client.publishAsync(topic, 'not JSON', { qos: 1 }));
  t.regex(refused.message, /Not authorized|0x87|135/i);
  await client.publishAsync(topic, '{"debug":"secret","t":21}', { qos: 1 });
  await client.publishAsync('devices/sensor-1/note', 'not JSON, and not telemetry', { qos: 1 });
  await until('both messages arrive', () => received.length >= 2);
  t.deepEqual(received, [`${topic} {"t":21}`, 'devices/sensor-1/note not JSON, and not telemetry']);
  await client.endAsync();
  await watcher.endAsync();
  const done = await running.stop();
  t.is(done.code, 0, done.stderr);
  t.regex(done.stderr, /"device":"sensor-1".*"client ready"/);
});
