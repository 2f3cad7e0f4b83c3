/**
 * A broker that waits for its turn follows the directory of the fleet.
 *
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { clientContext } from '../../bench/certificates.ts';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { spawnNode, type Child } from '../support/child.ts';
import { flotilla, flotillaPath, type Ready } from '../support/cli.ts';
import { enrollService, type TestDevice, type TestService } from '../support/enroll-service.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const limitMs = 240_000;

async function startBroker(
  t: ExecutionContext,
  service: TestService,
  name: string,
  database: string,
): Promise<{ child: Child; ready: Promise<Ready> }> {
  const own = stateFolder(join(tempFolder(t), name));
  await mkdir(own.broker.folder, { recursive: true, mode: 0o700 });
  await writeFile(own.config, `broker:\n  database: ${database}\n`);
  const made = await flotilla([
    ...['service', 'create', '--state', service.state.root, '--name', name, '--role', 'broker'],
    ...['--names', 'localhost', '--out', own.broker.identity, '--url', service.url],
  ]);
  t.is(made.code, 0, made.stderr);
  const ports = ['--mqtts-port', '0', '--wss-port', '0', '--metrics-port', '0'];
  const args = ['broker', 'serve', '--state', own.root, '--enroll-url', service.url, ...ports];
  const child = spawnNode(t, [flotillaPath, ...args, '--json'], { timeoutMs: limitMs });
  const ready = child
    .line((line) => line.includes('"ready"'))
    .then((line): Ready => JSON.parse(line) as Ready);
  ready.catch(() => undefined);
  return { child, ready };
}

test('a standby knows a revocation that happened while it waited, also when the enrollment service is away at the takeover', async (t) => {
  const server = skipsWithoutServer(t, await postgresServer());
  if (server === undefined) return;
  t.timeout(limitMs);
  t.teardown(() => server.close());
  const database = await server.database();
  const service = await enrollService(t);
  const first = await startBroker(t, service, 'broker-1', database);
  const { mqtts } = await first.ready;
  const second = await startBroker(t, service, 'broker-2', database);
  await second.child.errorLine((line) => line.startsWith('standby: '));
  const [one, other] = [await service.device('d1'), await service.device('d2')];
  const clientOf = (device: TestDevice): ExactClient =>
    new ExactClient({
      context: clientContext(service.ca, device.credential),
      clientId: device.id,
    });
  for (const device of [one, other]) {
    const client = clientOf(device);
    await client.connect(mqtts);
    client.drop();
  }
  await second.child.errorLine((line) => line.includes('feed connected'));
  const { body } = await service.asAdmin('POST', '/v1/devices/d1/revoke', {});
  t.is(body['brokers'], 2, 'the standby confirms it');

  await service.service.close();
  first.child.process.kill('SIGKILL');
  const next = (await second.ready).mqtts;
  await t.throwsAsync(clientOf(one).connect(next));
  const client = clientOf(other);
  await t.notThrowsAsync(client.connect(next));
  client.drop();
  t.is((await second.child.stop()).code, 0);
});
