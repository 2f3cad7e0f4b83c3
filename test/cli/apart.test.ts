/**
 * The two services on separate machines (here two state folders), and what a restart keeps.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { statusSchema, type Status } from '../../core/protocol/enrollment-api.ts';
import { spawnNode, type Child } from '../support/child.ts';
import { anyPorts, flotilla, flotillaPath } from '../support/cli.ts';
import { connectWith } from '../support/cli-client.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const hostPort = z.object({ host: z.string(), port: z.int().min(1) });
const ca = z.object({ file: z.string(), fingerprint: z.string() });
const enrollReady = z.strictObject({
  event: z.literal('ready'),
  https: z.object({ url: z.string() }),
  metrics: z.object({ url: z.string() }),
  ca,
  state: z.string(),
});
const brokerReady = z.strictObject({
  event: z.literal('ready'),
  mqtts: hostPort,
  wss: hostPort,
  metrics: z.object({ url: z.string() }),
  state: z.string(),
});
const upReady = z.object({ ...enrollReady.shape, ...brokerReady.shape });

interface Running<T> {
  readonly ready: T;
  readonly child: Child;
  readonly readyAfterMs: number;
}

async function serve<T>(
  t: ExecutionContext,
  shape: z.ZodType<T>,
  ...args: string[]
): Promise<Running<T>> {
  const beganMs = performance.now();
  const child = spawnNode(t, [flotillaPath, ...args, '--json'], { timeoutMs: 120_000 });
  const line = await child.line(() => true, 90_000);
  const readyAfterMs = performance.now() - beganMs;
  return { ready: shape.parse(JSON.parse(line)), child, readyAfterMs };
}

async function run(t: ExecutionContext, ...args: string[]): Promise<void> {
  const done = await flotilla([...args, '--json']);
  t.is(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
}

test('a broker on its own machine has no CA key and continues while the enrollment service is unavailable', async (t) => {
  const folder = tempFolder(t);
  const [there, here] = [join(folder, 'enroll-machine'), join(folder, 'broker-machine')];
  const service = await serve(
    t,
    enrollReady,
    ...['enroll', 'serve', '--state', there, '--https-port', '0'],
  );
  mkdirSync(join(here, 'broker'), { recursive: true });
  await run(
    t,
    ...['service', 'create', '--state', there, '--name', 'broker-1', '--role', 'broker'],
    ...['--names', 'localhost', '127.0.0.1', '--out', join(here, 'broker', 'identity')],
  );
  // On the machine of the enrollment service no broker is expected.
  const status = await flotilla(['status', '--json', '--state', there]);
  const { checks } = z
    .object({ checks: z.array(z.object({ name: z.string(), ok: z.boolean() })) })
    .parse(status.json());
  t.deepEqual(
    checks.filter(({ name }) => name === 'broker'),
    [],
  );
  t.true(checks.some(({ name, ok }) => name === 'enrollment service' && ok));
  t.false(existsSync(join(there, 'broker', 'identity')), 'it has no identity that nobody uses');
  const serveBroker = (): Promise<Running<z.infer<typeof brokerReady>>> =>
    serve(
      t,
      brokerReady,
      ...['broker', 'serve', '--state', here, '--enroll-url', service.ready.https.url],
      ...['--mqtts-port', '0', '--wss-port', '0', '--metrics-port', '0'],
    );
  const broker = await serveBroker();
  const device = join(folder, 'device');
  await run(t, 'device', 'enroll', '--state', there, '--id', 'far', '--out', device);

  // The directory reaches the broker through the feed, not through a shared file.
  const first = await until('the broker lets it in', () =>
    connectWith(t, { id: 'far', folder: device, address: broker.ready.mqtts }).catch(
      () => undefined,
    ),
  );
  t.true(first.connected);
  const keys = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /key\.pem$/.test(name),
  );
  t.true(
    keys.every((name) => name.startsWith(join('broker', 'identity'))),
    keys.join(),
  );
  t.false(readdirSync(here).includes('ca'));

  await service.child.stop('SIGKILL');
  await first.endAsync();
  const second = await connectWith(t, { id: 'far', folder: device, address: broker.ready.mqtts });
  t.true(second.connected);
  await second.endAsync();

  t.is((await broker.child.stop()).code, 0);
  const again = await serveBroker();
  const third = await connectWith(t, { id: 'far', folder: device, address: again.ready.mqtts });
  t.true(third.connected, 'from the directory on its own disk');
  await third.endAsync();
  t.is((await again.child.stop()).code, 0);
});

test('without a connected broker, a restriction exits with 4 if one is registered and with 0 if none is', async (t) => {
  const folder = tempFolder(t);
  const state = join(folder, 'state');
  const start = (): ReturnType<typeof serve<z.infer<typeof enrollReady>>> =>
    serve(
      t,
      enrollReady,
      ...['enroll', 'serve', '--state', state, '--https-port', '0', '--metrics-port', '0'],
    );
  const restricted = async (action: string, id: string): ReturnType<typeof flotilla> => {
    await run(t, 'device', 'enroll', '--state', state, '--id', id, '--out', join(folder, id));
    return flotilla(['device', action, id, '--state', state]);
  };
  const first = await start();
  const alone = await restricted('revoke', 'd1');
  t.is(alone.code, 0, alone.stderr);
  t.regex(alone.stderr, /^No broker has confirmed it, because none is registered\./);
  await run(
    t,
    ...['service', 'create', '--state', state, '--name', 'broker-1', '--role', 'broker'],
    ...['--names', 'localhost', '--out', join(folder, 'broker-1')],
  );
  t.is((await first.child.stop()).code, 0);
  const second = await start();
  for (const action of ['revoke', 'suspend', 'delete']) {
    const done = await restricted(action, `${action}-1`);
    t.is(done.code, 4, action);
    t.regex(done.stderr, /^NOT CONFIRMED by broker-1, not connected to the enrollment service/);
  }
  await run(t, 'service', 'revoke', 'broker-1', '--state', state);
  t.is((await restricted('revoke', 'd2')).code, 0);
  t.is((await second.child.stop()).code, 0);
});

async function checksOf(state: string): Promise<Status['checks']> {
  return statusSchema.parse((await flotilla(['status', '--state', state, '--json'])).json()).checks;
}

test('nothing is lost by a stop or a kill', async (t) => {
  const folder = tempFolder(t);
  const state = join(folder, 'state');
  const up = (): Promise<Running<z.infer<typeof upReady>>> =>
    serve(t, upReady, 'up', '--state', state, ...anyPorts);
  const first = await up();
  const device = join(folder, 'device');
  const backend = join(folder, 'backend');
  await run(t, 'device', 'enroll', '--state', state, '--id', 'lasting', '--out', device);
  await run(
    t,
    ...['service', 'create', '--state', state, '--name', 'backend', '--role', 'service'],
    ...['--out', backend],
  );
  const listener = await connectWith(t, {
    id: 'lasting',
    folder: device,
    address: first.ready.mqtts,
    keep: true,
  });
  await listener.subscribeAsync('devices/lasting/commands/#', { qos: 1 });
  await listener.endAsync();
  const sender = await connectWith(t, {
    id: 'backend',
    folder: backend,
    address: first.ready.mqtts,
  });
  await sender.publishAsync('devices/lasting/commands/do', 'it', { qos: 1 });
  await first.child.stop('SIGKILL');

  const second = await up();
  t.log(`ready after ${Math.round(second.readyAfterMs)} ms on a state that was there`);
  t.is(second.ready.ca.fingerprint, first.ready.ca.fingerprint);
  const got: string[] = [];
  await connectWith(t, {
    ...{ id: 'lasting', folder: device, address: second.ready.mqtts, keep: true },
    onMessage: (topic, payload) => void got.push(`${topic} ${payload}`),
  });
  await until('the command that was acknowledged before the kill', () => got.length > 0);
  t.deepEqual(got, ['devices/lasting/commands/do it']);

  const policy = join(state, 'policy.yaml');
  const good = readFileSync(policy);
  const status = (): ReturnType<typeof flotilla> => flotilla(['status', '--state', state]);
  writeFileSync(policy, `${good.toString()}\nrolez: {}\n`);
  const wrong = await until('status reports the broken policy', async () => {
    const result = await status();
    return result.code === 1 && result;
  });
  t.regex(wrong.stdout, /WRONG.*policy.*rolez/);
  const [, counted] = /^ok {4}(\d+) more checks/m.exec(wrong.stdout) ?? [];
  t.is(
    Number(counted) + wrong.stdout.trimEnd().split('\n').length - 1,
    (await checksOf(state)).length,
  );
  writeFileSync(policy, good);
  await until('status reports no problem again', async () => (await status()).code === 0);

  const done = await second.child.stop('SIGINT');
  t.is(done.code, 0, done.stderr);
});
