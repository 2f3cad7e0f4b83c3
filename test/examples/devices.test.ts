/** The devices of examples/device-node and examples/device-python, as programs, against a running Flotilla. */
import { cpSync, mkdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { deviceSchema } from '../../core/protocol/enrollment-api.ts';
import { spawnChild } from '../support/child.ts';
import { connectWith } from '../support/cli-client.ts';
import { flotilla, startUp, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { until } from '../support/until.ts';

let up: Up;
let backend: string;

test.before(async () => {
  up = await startUp();
  backend = join(up.folder, 'backend');
  await up.ask(
    z.unknown(),
    ...['service', 'create', '--name', 'backend', '--role', 'service', '--out', backend],
  );
});
test.after.always(() => up.close());

interface Backend {
  /** All messages so far, as "topic payload". */
  readonly messages: readonly string[];
  /** Sends a command and resolves with the payload of the reply. */
  command(name: string, payload?: string): Promise<string>;
}

async function backendFor(t: ExecutionContext, device: string): Promise<Backend> {
  const messages: string[] = [];
  const client = await connectWith(t, {
    id: `backend/${device}`,
    folder: backend,
    address: up.ready.mqtts,
    onMessage: (topic, payload) => messages.push(`${topic} ${payload}`),
  });
  await client.subscribeAsync(`devices/${device}/#`, { qos: 1 });
  return {
    messages,
    async command(name, payload = '') {
      await client.publishAsync(`devices/${device}/commands/${name}`, payload, { qos: 1 });
      const topic = `devices/${device}/replies/${name} `;
      const reply = await until(`a reply to ${name}`, () =>
        messages.find((message) => message.startsWith(topic)),
      );
      messages.splice(messages.indexOf(reply), 1);
      return reply.slice(topic.length);
    },
  };
}

async function enroll(id: string): Promise<string> {
  const folder = join(up.folder, id);
  await up.ask(z.unknown(), 'device', 'enroll', '--id', id, '--out', folder);
  return folder;
}

const environment = (): Record<string, string> => ({
  HOST: up.ready.mqtts.host,
  PORT: String(up.ready.mqtts.port),
  INTERVAL_SECONDS: '1',
});

/** Waits for telemetry and sends commands. */
async function behaves(t: ExecutionContext, service: Backend): Promise<void> {
  const telemetry = await until('telemetry', () =>
    service.messages.find((message) => message.includes('/telemetry ')),
  );
  t.regex(telemetry, /"temperature":/);
  t.like(JSON.parse(await service.command('echo', 'hello')), { echo: 'hello' });
  t.regex(await service.command('explode'), /unknown command explode/);
  t.regex(await service.command('interval', '2'), /^\{"interval/);
}

test('the device in Node.js publishes, executes commands, and renews with a new key', async (t) => {
  if (debianTool(t, 'openssl') === undefined) return;
  // As a user has it: a copy, with its own node_modules.
  const program = join(up.folder, 'device-node');
  cpSync('examples/device-node', program, { recursive: true });
  mkdirSync(join(program, 'node_modules'));
  symlinkSync(resolve('node_modules/mqtt'), join(program, 'node_modules', 'mqtt'));
  const folder = await enroll('node-1');
  const before = readFileSync(join(folder, 'key.pem'), 'utf8');
  const service = await backendFor(t, 'node-1');
  const device = spawnChild(t, process.execPath, [join(program, 'device.mjs'), folder], {
    env: environment(),
    timeoutMs: 200_000,
  });
  await behaves(t, service);

  t.regex(await service.command('renew'), /"renewedUntil":"20/);
  t.not(readFileSync(join(folder, 'key.pem'), 'utf8'), before, 'a new key');
  t.regex(readlinkSync(join(folder, '.current')), /^\.identity-2-/);
  t.deepEqual(JSON.parse(await service.command('echo', 'again')), { echo: 'again' });
  const shown = await until('the old certificate is retired', async () => {
    const { certificates } = await up.ask(deviceSchema, 'device', 'show', 'node-1');
    return certificates.some(({ status }) => status === 'retired') && certificates;
  });
  t.is(shown.filter(({ status }) => status === 'active').length, 1);

  // The command line accepts the folder that the example wrote.
  const renewed = await flotilla(['device', 'renew', '--dir', folder, '--json']);
  t.is(renewed.code, 0, renewed.stderr);
  const done = await device.stop();
  t.is(done.code, 0, done.stderr);
  t.is(done.stderr, '');
});

test('the device in Node.js explains how to start it', async (t) => {
  const done = await spawnChild(t, process.execPath, ['examples/device-node/device.mjs']).finished;
  t.is(done.code, 2);
  t.regex(done.stderr, /^usage: /);
});

test('the device in Python publishes, executes commands, and connects with renewed files', async (t) => {
  const python = debianTool(t, 'python3');
  if (python === undefined) return;
  const folder = await enroll('python-1');
  const service = await backendFor(t, 'python-1');
  const device = spawnChild(t, python, [resolve('examples/device-python/device.py'), folder], {
    env: environment(),
    timeoutMs: 200_000,
  });
  await behaves(t, service);

  const renewed = await flotilla(['device', 'renew', '--dir', folder, '--rekey', '--json']);
  t.is(renewed.code, 0, renewed.stderr);
  await until(
    'the device connects again',
    () => device.stdout().match(/connected as python-1/g)?.length === 2,
  );
  t.deepEqual(JSON.parse(await service.command('echo', 'again')), { echo: 'again' });
  const done = await device.stop();
  t.is(done.code, 0, done.stderr);
});
