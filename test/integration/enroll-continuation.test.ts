/**
 * A broker goes on with the changes that it misses when another instance of the enrollment service takes over.
 *
 * @module
 */
import { writeFile } from 'node:fs/promises';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { silentLog } from '../../core/log.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import { openFileStorage } from '../../enroll/bootstrap/file-storage.ts';
import { deviceRow } from '../contract/registry.ts';
import { flotilla } from '../support/cli.ts';
import {
  brokerConnected,
  frontPort,
  newState,
  startBroker,
  startOn,
} from '../support/enroll-instances.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;
const devices = 5000;
/** Handshakes, authorities, the answers to reports, and a few changes. A snapshot is more than ten times as large. */
const changesMaxBytes = 60_000;

async function fill(state: StateFolder): Promise<void> {
  const lifecycle = new Lifecycle();
  const deps = { clock: systemClock, log: silentLog, acceptLoss: undefined };
  const { registry } = await openFileStorage(state, deps, lifecycle);
  const attributes = { model: 'm'.repeat(100) };
  const puts = Array.from({ length: devices }, (_none, at) => ({
    ...{ table: 'devices' as const, expected: 0 },
    record: deviceRow(`d${at}`, { certificates: [], attributes }),
  }));
  await registry.commit({ puts, events: [{ action: 'device-imported', actor: 'test' }] });
  await lifecycle.close();
}

test('after a kill of the active instance a broker gets only the changes that it misses, a revocation among them', async (t) => {
  const server = skipsWithoutServer(t, await postgresServer());
  if (server === undefined) return;
  t.teardown(() => server.close());
  t.timeout(limitMs);
  const url = await server.database();
  const firstState = await newState(t, url);
  await writeFile(firstState.config, '');
  t.is((await flotilla(['init', '--state', firstState.root])).code, 0);
  await fill(firstState);
  await writeFile(firstState.config, `enroll:\n  database: ${url}\n`);
  t.is((await flotilla(['cluster', 'import', '--state', firstState.root])).code, 0);

  const first = startOn(t, firstState);
  const front = await frontPort(t, (await first.ready).https.url);
  const broker = await startBroker(t, firstState, front.url);
  const known = async (id: string): Promise<DirectoryEntry | undefined> => {
    const directory = await new DirectoryFile(broker.state.broker.directory).read();
    return directory?.entries.get(id);
  };
  let isHeld = false;
  const change = async (state: StateFolder, ...args: string[]): Promise<void> => {
    const { code, stderr } = await flotilla(['device', ...args, '--state', state.root]);
    t.true(code === 0 || (isHeld && stderr.includes('NOT CONFIRMED')), stderr);
  };
  await brokerConnected(first);
  await until('the broker has a snapshot', () => known('d4999'));
  const snapshotBytes = front.bytes;
  t.true(snapshotBytes > 10 * changesMaxBytes, String(snapshotBytes));
  await change(firstState, 'revoke', 'd1');
  await change(firstState, 'delete', 'd2', '--yes');
  await until('the broker has both', async () => (await known('d2')) === undefined);

  const second = startOn(t, await newState(t, url, firstState));
  await second.child.errorLine((line) => line.startsWith('standby: '));
  // The broker does not learn of these from the first instance.
  front.hold();
  isHeld = true;
  await change(firstState, 'delete', 'd4', '--yes');
  await change(firstState, 'revoke', 'd3');
  first.child.process.kill('SIGKILL');
  await first.child.finished;
  isHeld = false;
  front.bytes = 0;
  front.target = (await second.ready).https.url;
  await brokerConnected(second);
  await until('the revocation is in force', async () => (await known('d3'))?.status === 'revoked');
  t.is(await known('d4'), undefined);
  t.is((await known('d1'))?.status, 'revoked');
  t.is(await known('d2'), undefined);
  t.is((await known('d5'))?.status, 'active');
  t.log(`snapshot: ${snapshotBytes} bytes, changes: ${front.bytes} bytes`);
  t.true(front.bytes < changesMaxBytes, String(front.bytes));

  // An orderly end and a third instance: the changes of all three are in one order.
  const { state: secondState } = second;
  await change(secondState, 'revoke', 'd5');
  const third = startOn(t, firstState);
  await third.child.errorLine((line) => line.startsWith('standby: '));
  await second.child.stop();
  front.bytes = 0;
  front.target = (await third.ready).https.url;
  await brokerConnected(third);
  await change(firstState, 'revoke', 'd6');
  await until('the broker follows', async () => (await known('d6'))?.status === 'revoked');
  t.is((await known('d5'))?.status, 'revoked');
  t.true(front.bytes < changesMaxBytes, String(front.bytes));
  const status = await flotilla(['status', '--state', firstState.root, '--json']);
  t.regex(status.stdout, /no broker knows more/);
  t.is((await third.child.stop()).code, 0);
  t.is((await broker.child.stop()).code, 0);
});
